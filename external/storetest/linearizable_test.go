package storetest

import (
	"math/rand/v2"
	"testing"
)

func TestLinearizable(t *testing.T) {
	for _, test := range []struct {
		name string
		is   bool
		history
	}{
		{"nothing", true, nil},
		{"absent at first", true, history{{Get, 0, 1, 2}}},
		{"found before it was put", false, history{{Get, 1, 1, 2}, {Put, 1, 3, 4}}},
		{"found while it was put", true, history{{Put, 1, 1, 4}, {Get, 1, 2, 3}}},
		{"not found while it was put", true, history{{Put, 1, 1, 4}, {Get, 0, 2, 3}}},
		{"found, then not", false, history{{Put, 1, 1, 8}, {Get, 1, 2, 3}, {Get, 0, 4, 5}}},
		{"found, then not, by two", true, history{{Put, 1, 1, 8}, {Get, 1, 2, 5}, {Get, 0, 4, 6}}},
		{"lost", false, history{{Put, 1, 1, 2}, {Get, 0, 3, 4}}},
		{"stale", false, history{{Put, 1, 1, 2}, {Put, 2, 3, 4}, {Get, 1, 5, 6}}},
		{"put at once, found in turn", false, history{{Put, 1, 1, 4}, {Put, 2, 2, 3}, {Get, 1, 5, 6}, {Get, 2, 7, 8}}},
		{"deleted", true, history{{Put, 1, 1, 2}, {Delete, 0, 3, 4}, {Get, 0, 5, 6}}},
		{"back after Delete", false, history{{Put, 1, 1, 2}, {Delete, 0, 3, 4}, {Get, 1, 5, 6}}},
		{"not deleted, if put after", true, history{{Put, 1, 1, 6}, {Delete, 0, 2, 3}, {Get, 1, 7, 8}}},
		{"taken once", true, history{{Put, 1, 1, 2}, {Take, 1, 3, 6}, {Take, 0, 4, 5}}},
		{"taken twice", false, history{{Put, 1, 1, 2}, {Take, 1, 3, 6}, {Take, 1, 4, 5}}},
		{"taken by nobody", false, history{{Put, 1, 1, 2}, {Take, 0, 3, 6}, {Get, 0, 4, 5}}},
		{"back after Take", false, history{{Put, 1, 1, 2}, {Take, 1, 3, 4}, {Get, 1, 5, 6}}},
		{"taken one, removed another", false, history{{Put, 1, 1, 2}, {Take, 1, 3, 6}, {Put, 2, 4, 5}, {Get, 0, 7, 8}}},
	} {
		if got := test.linearizable(); got != test.is {
			t.Errorf("%s: linearizable is %v", test.name, got)
		}
	}
}

// What a map does in any order has an order; and with one answer changed to a
// value that nobody put it has none.
func TestLinearizableOfAMap(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		var h history
		value := uint64(0)
		for n := range int64(40) {
			e := event{op: Op(random.IntN(4)), value: value}
			if e.op == Put {
				e.value = uint64(n + 1)
			}
			value, _ = e.apply(value)
			e.from, e.to = n*10-random.Int64N(30), n*10+random.Int64N(30)
			h = append(h, e)
		}
		h.sort()
		if !h.linearizable() {
			t.Fatalf("seed %d: this history of a map is not linearizable:\n%v", seed, h)
		}
		for i := range h {
			if h[i].op.reads() {
				h[i].value = 1000
				break
			}
		}
		if h.linearizable() {
			t.Fatalf("seed %d: a value from nowhere is linearizable:\n%v", seed, h)
		}
	}
}
