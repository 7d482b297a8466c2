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
// The suite takes for granted that the store has the room not to lose any of the
// few thousand entries that it makes, that its database is linearizable while the
// suite runs, and that the clocks of both agree within a second.
//
// # How the suite is tested
//
// A check is a function of a probe, which holds the store and what little of a
// *testing.T the check needs. The suite's own tests hand each check a recorder
// in place of the *testing.T, and stores that are broken on purpose, and hold
// that the recorder saw a failure.
package storetest

import (
	"testing"

	"github.com/halfshake/halfshake/external"
)

// Run checks that stores honour the contract of [external.Store], each check in
// a subtest with a store that open returned to it. They may all be of one
// database; that is for this test alone, and need not be empty. What open began
// it ends with t.Cleanup.
//
// It takes some three seconds for a store that writes at once, and half a minute
// for one that writes entry by entry to a disk; such a store is let off with some
// of the rounds of the concurrent checks. An entry may be found for up to two seconds after
// it expired, since there are databases that count in seconds.
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
