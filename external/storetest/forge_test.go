package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"testing"

	"github.com/halfshake/halfshake/external"
)

// forgeries say, for the answer to op where truth is stored, whether it is the
// lie that the fault's comment has.
var forgeries = map[Fault]func(r *rig, op Op, truth, lie []byte) bool{
	OtherKey: func(r *rig, _ Op, _, lie []byte) bool { return bytes.Equal(lie, r.other) },
	Older: func(r *rig, op Op, _, lie []byte) bool {
		if op == Load {
			return bytes.Equal(lie, r.first)
		}
		return bytes.Equal(lie, r.value)
	},
	Flipped: func(_ *rig, _ Op, truth, lie []byte) bool {
		return len(lie) == len(truth) && differentBits(lie, truth) == 1
	},
	Truncated: func(_ *rig, _ Op, truth, lie []byte) bool {
		return len(lie) > 0 && len(lie) < len(truth) && bytes.HasPrefix(truth, lie)
	},
	Garbage:  func(_ *rig, _ Op, truth, lie []byte) bool { return len(lie) > 0 && !bytes.Equal(lie, truth) },
	Oversize: func(_ *rig, _ Op, truth, lie []byte) bool { return len(lie) == 1<<20 && bytes.HasPrefix(lie, truth) },
	Empty:    func(_ *rig, _ Op, _, lie []byte) bool { return lie != nil && len(lie) == 0 },
	Nil:      func(_ *rig, _ Op, _, lie []byte) bool { return lie == nil },
}

func differentBits(a, b []byte) (n int) {
	for i := range a {
		n += bits.OnesCount8(a[i] ^ b[i])
	}
	return n
}

func TestForgeries(t *testing.T) {
	for _, fault := range Faults() {
		if !fault.forges() {
			continue
		}
		for _, op := range []Op{Get, Take, Load} {
			t.Run(fmt.Sprint(fault, "/", op), func(t *testing.T) {
				r := newRig(t)
				newer := newValue(200)
				(&probe{t, r.Faulty}).put(r.key, newer)
				(&logProbe{t, r.Faulty}).wantSwap(r.first, newer)
				r.SetAll(fault)

				lie, err := r.do(t.Context(), op)
				if err != nil || !forgeries[fault](r, op, newer, lie) {
					t.Errorf("%d bytes, %v", len(lie), err)
				}
				if r.Injected(op) != 1 {
					t.Errorf("%d faults were injected", r.Injected(op))
				}
				if op == Take {
					r.truth.wantAbsent(r.key)
				} else {
					r.truth.want(r.key, newer)
				}
				clear(lie) // is the caller's, and not what the next lie is made of
				r.truth.put(r.key, newer)
				if lie, _ := r.do(t.Context(), op); !forgeries[fault](r, op, newer, lie) {
					t.Errorf("the second lie is another: %d bytes", len(lie))
				}
			})
		}
	}
}

// Where nothing is stored, some have nothing to lie with.
func TestForgeriesOfNothing(t *testing.T) {
	for fault, lies := range map[Fault]bool{
		OtherKey: true, Older: false, Flipped: false, Truncated: false, Garbage: true, Oversize: true, Empty: true, Nil: true,
	} {
		r := newRig(t)
		r.SetAll(fault)
		_, err := r.Get(t.Context(), newKey())
		if got := err == nil; got != lies || !lies && !errors.Is(err, external.ErrNotFound) || r.Injected(Get) == 1 != lies {
			t.Errorf("%v: %v, %d faults", fault, err, r.Injected(Get))
		}
	}
}

// Older brings back what was deleted.
func TestOlderOfDeleted(t *testing.T) {
	r := newRig(t)
	(&probe{t, r.Faulty}).delete(r.key)
	r.Set(Get, Older)
	if got, err := r.do(context.Background(), Get); err != nil || !bytes.Equal(got, r.value) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// The same calls are lied to in the same way.
func TestForgeriesAreSeeded(t *testing.T) {
	key, value := newKey(), newValue(100)
	lie := func() (all []byte) {
		r := newRig(t)
		(&probe{t, r.Faulty}).put(key, value)
		for _, fault := range []Fault{Flipped, Truncated, Garbage, Flipped} {
			r.Set(Get, fault)
			got, err := r.Get(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, got...)
		}
		return all
	}
	if !bytes.Equal(lie(), lie()) {
		t.Error("two runs differ")
	}
}

func TestNames(t *testing.T) {
	seen := make(map[string]bool)
	for _, fault := range append(Faults(), None) {
		if name := fault.String(); name == "" || seen[name] {
			t.Errorf("fault %d is named %q", int(fault), name)
		} else {
			seen[name] = true
		}
	}
	if got := fmt.Sprint(Nil, CompareAndSwap, Fault(-1), Op(99)); got != "Nil CompareAndSwap Fault(-1) Op(99)" {
		t.Error(got)
	}
}
