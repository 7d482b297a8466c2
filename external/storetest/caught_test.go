package storetest

import (
	"slices"
	"strings"
	"testing"

	"github.com/halfshake/halfshake/external/memstore"
)

// lies are what each fault of a Faulty is caught by, where it befalls one method.
// Those that hang or panic would do so to the suite.
var lies = map[Op]map[Fault]string{
	Put:    {Fail: "PutGet", FailDone: "PutGet", Drop: "PutGet", ReadOnly: "PutGet", Full: "PutGet"},
	Delete: {Fail: "Delete", FailDone: "Delete", Drop: "Delete", ReadOnly: "Delete"},
	Get: {
		Fail: "PutGet", FailDone: "PutGet", Drop: "PutGet", OtherKey: "Delete", Older: "Replace", Flipped: "PutGet",
		Truncated: "PutGet", Garbage: "PutGet", Oversize: "PutGet", Empty: "PutGet", Nil: "PutGet",
	},
	Take: {
		Fail: "Take", FailDone: "Take", Drop: "Take", Spare: "Take", ReadOnly: "Take", OtherKey: "KeysOneBitApart",
		Older: "Take", Flipped: "Take", Truncated: "Take", Garbage: "Take", Oversize: "Take", Empty: "Take", Nil: "Take",
	},
}

func TestFaultsAreCaught(t *testing.T) {
	for op, faults := range lies {
		for fault, name := range faults {
			check := named(t, storeChecks, name)[0]
			t.Run(op.String()+"/"+fault.String(), func(t *testing.T) {
				t.Parallel()
				f := NewFaulty(memstore.New(memstore.Config{}))
				f.Set(op, fault)
				wantFailure(t, func(t tester) { check.run(&probe{t, f}) })
				if f.Injected(op) == 0 {
					t.Error("no fault was injected")
				}
			})
		}
	}
}

// TestEveryCheckCatches holds that for each check there is a broken store which
// it must find.
func TestEveryCheckCatches(t *testing.T) {
	var stores, logs, databases, bounds string
	for _, b := range breaks {
		stores += " " + b.checks
	}
	for _, a := range alterations {
		stores += " " + a.checks
	}
	for _, b := range brokenLogs {
		logs += " " + b.checks
	}
	for _, b := range brokenDatabases {
		databases += " " + b.checks
	}
	for _, b := range brokenBounds {
		bounds += " " + b.checks
	}
	wantEach(t, storeChecks, stores+" BesideLog") // of TestLogsNotBesideStores
	wantEach(t, logChecks, logs)
	wantEach(t, persistenceChecks, databases)
	wantEach(t, boundChecks, bounds)
}

func wantEach[P any](t *testing.T, checks []check[P], names string) {
	t.Helper()
	for _, c := range checks {
		if !slices.Contains(strings.Fields(names), c.name) {
			t.Errorf("no broken store is known that the check %s finds", c.name)
		}
	}
}
