package storetest

import (
	"testing"

	"github.com/halfshake/halfshake/external"
)

// RunLog checks that revocation logs honour the contract of [external.RevocationLog].
// Each check is a subtest, and calls open for its log, which must be in a database that
// has no log yet.
//
// RunLog takes less than a second for a log that writes at once.
func RunLog(t *testing.T, open func(t testing.TB) external.RevocationLog) {
	for _, check := range logChecks {
		t.Run(check.name, func(t *testing.T) {
			check.run(&logProbe{t, open(t)})
		})
	}
}

var logChecks = []check[*logProbe]{
	{"Absent", checkLogAbsent},
	{"First", checkLogFirst},
	{"Swap", checkLogSwap},
	{"Conflict", checkLogConflict},
	{"Sizes", checkLogSizes},
	{"Slices", checkLogSlices},
	{"DoneContext", checkLogDoneContext},
	{"OneFirst", checkLogOneFirst},
	{"Increments", checkLogIncrements},
}
