package halfshake

import (
	"crypto/sha256"
	"io"
	"time"
)

// A ScopeID stands for a [Config.Scope], of which it is a digest: every session of
// the same Scope has the same, whatever its server name and policy.
type ScopeID [8]byte

func scopeIDOf(scope string) ScopeID {
	h := sha256.New()
	io.WriteString(h, "halfshake scope id 1\x00")
	io.WriteString(h, scope)
	return ScopeID(h.Sum(nil)[:len(ScopeID{})])
}

// A Removal names sessions that have ended together: those of one lineage, or
// those of one Scope whose lineages began no later than a given time.
// [Callbacks.End] receives it.
type Removal struct {
	// Lineage is the lineage that has ended, zero where a Scope has.
	Lineage Lineage

	// Scope and Before say which sessions have ended where Lineage is zero: those
	// of this Scope whose lineage began at Before, in milliseconds, or earlier.
	Scope  ScopeID
	Before time.Time

	// Until is when the last session that the Removal names has expired: the
	// record of the Removal can be dropped then.
	Until time.Time
}

// Ends reports whether the Removal names s.
func (r Removal) Ends(s *Session) bool {
	if r.Lineage != (Lineage{}) {
		return s.lineage == r.Lineage
	}
	return s.ScopeID() == r.Scope && s.lineage.milli() <= r.Before.UnixMilli()
}
