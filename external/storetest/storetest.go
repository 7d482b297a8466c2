// Package storetest is the conformance suite of external stores, for every
// driver in this repository and elsewhere: [Run] for the [external.Store], [RunLog]
// for its [external.RevocationLog], [RunBounded] for what a full store evicts, and
// [RunPersistent] for what outlives the process. [Faulty] is a store with faults,
// for tests of what is above one.
//
// A driver's test is
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t testing.TB) external.Store { return open(t) })
//	}
//
// Except in RunBounded, the store must have room for the few thousand entries that the
// suite makes. Its database must be linearizable while the suite runs, and the clocks of
// both must agree within a second.
//
// # How the suite is tested
//
// A check is a function of a probe, which holds the store and the few methods of a
// *testing.T that the check needs. The suite's own tests give each check a recorder in
// place of the *testing.T, and a store that is broken on purpose, and require that the
// recorder saw a failure.
package storetest

import (
	"testing"

	"github.com/halfshake/halfshake/external"
)

// Run checks that stores honour the contract of [external.Store]. Each check is a
// subtest, and calls open for its store. All stores may share one database, which need
// not be empty, but which nothing else may use meanwhile. Open registers its own
// clean-up with t.Cleanup.
//
// Run takes some three seconds for a store that writes at once, and half a minute for
// one that writes entry by entry to a disk; concurrent checks do fewer rounds for a slow
// store. An entry may be found for up to two seconds after it expired, because some
// databases count in seconds.
func Run(t *testing.T, open func(t testing.TB) external.Store) {
	for _, check := range storeChecks {
		t.Run(check.name, func(t *testing.T) {
			check.run(&probe{t, open(t)})
		})
	}
}

// A check is a function of a probe, a logProbe or a database.
type check[P any] struct {
	name string
	run  func(P)
}

var storeChecks = []check[*probe]{
	{"PutGet", checkPutGet},
	{"Replace", checkReplace},
	{"Take", checkTake},
	{"Delete", checkDelete},
	{"Absent", checkAbsent},

	{"Sizes", checkSizes},
	{"ValuesOfAllBytes", checkValuesOfAllBytes},
	{"KeysOfAllBytes", checkKeysOfAllBytes},
	{"KeysOneBitApart", checkKeysOneBitApart},

	{"Expiry", checkExpiry},
	{"ExpiredAlready", checkExpiredAlready},
	{"FarExpiry", checkFarExpiry},
	{"ExpiryZones", checkExpiryZones},

	{"SlicesNotKept", checkSlicesNotKept},
	{"SlicesNotChanged", checkSlicesNotChanged},
	{"SlicesReturned", checkSlicesReturned},

	{"DoneContext", checkDoneContext},
	{"ShortDeadline", checkShortDeadline},
	{"ErrorsKeepSecrets", checkErrorsKeepSecrets},

	{"TakeOnce", checkTakeOnce},
	{"WholeValues", checkWholeValues},
	{"NoComeback", checkNoComeback},
	{"History", checkHistory},

	{"BesideLog", checkBesideLog},
}
