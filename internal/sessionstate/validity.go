package sessionstate

import (
	"time"

	"github.com/halfshake/halfshake/internal/validity"
)

// LeafValidity returns the validity period of the peer's own certificate; State must
// have one. The decision to resume needs nothing else of the leaf, and parsing the rest
// would cost more than everything else in that decision. Either engine parses the whole
// certificate before it resumes.
func (st *State) LeafValidity() (notBefore, notAfter time.Time, err error) {
	notBefore, notAfter, ok := validity.Of(st.Certificates[0])
	if !ok {
		return time.Time{}, time.Time{}, ErrMalformed
	}
	return notBefore, notAfter, nil
}
