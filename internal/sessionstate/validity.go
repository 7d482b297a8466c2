package sessionstate

import (
	"time"

	"github.com/halfshake/halfshake/internal/validity"
)

// LeafValidity reads from when until when the client's own certificate is good;
// State must have one. It is all that the decision to resume asks of the leaf, and
// parsing the rest costs more than all else in that decision. Either engine parses the
// certificate whole before it resumes.
func (st *State) LeafValidity() (notBefore, notAfter time.Time, err error) {
	notBefore, notAfter, ok := validity.Of(st.Certificates[0])
	if !ok {
		return time.Time{}, time.Time{}, ErrMalformed
	}
	return notBefore, notAfter, nil
}
