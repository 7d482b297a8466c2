package external

import (
	"testing"
	"time"

	"github.com/halfshake/halfshake"
)

// What the tests of package external_test need of this package's.

var RecordKeys = recordKeys

// LineageAt returns a lineage that begins at the given time.
func LineageAt(at time.Time) halfshake.Lineage { return lineageAt(at) }

// SessionOf returns a session, valid for an hour.
func SessionOf(t testing.TB, id []byte, lineage halfshake.Lineage, scope halfshake.ScopeID, earlyData bool) *halfshake.Session {
	t.Helper()
	now := time.Now()
	return draft{id: id, lineage: lineage, scope: scope, created: now, expires: now.Add(time.Hour), earlyData: earlyData}.session(t)
}
