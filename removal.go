package halfshake

import (
	"crypto/sha256"
	"io"
	"time"
)

// A ScopeID is a digest of a [Config.Scope]. All sessions of one Scope have the same
// ScopeID, whatever their server name and policy.
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
	// Lineage is the lineage that has ended. It is zero if a Scope has ended.
	Lineage Lineage

	// Scope and Before say which sessions have ended if Lineage is zero: those of this
	// Scope whose lineage began at Before or earlier, to the millisecond.
	Scope  ScopeID
	Before time.Time

	// Until is when the last session that the Removal names has expired. The record of
	// the Removal can be dropped then.
	Until time.Time
}

// Ends reports whether the Removal names s.
func (r Removal) Ends(s *Session) bool {
	if r.Lineage != (Lineage{}) {
		return s.lineage == r.Lineage
	}
	return s.ScopeID() == r.Scope && s.lineage.milli() <= r.Before.UnixMilli()
}
