package boltstore

import (
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"github.com/halfshake/halfshake/external"
)

func (r *rig) putAs(n int, v []byte, expires time.Time, class external.Class) {
	r.Helper()
	if err := r.Put(r.Context(), key(n), v, expires, class); err != nil {
		r.Fatal(err)
	}
}

// wantClasses checks that the index and the file agree on the space of each class.
func (r *rig) wantClasses() {
	r.Helper()
	r.flush(r)
	r.mu.Lock()
	before := r.index.used
	r.mu.Unlock()
	r.reopen(Config{MaxBytes: r.limits.file})
	if r.index.used != before {
		r.Errorf("the index had %d bytes of each class, and the file has %d", before, r.index.used)
	}
}

// share returns the proved sessions' share of the space that sessions use.
func (r *rig) share() float64 {
	return float64(r.index.used[external.ClassProved]) / float64(r.index.used.total())
}

// TestFloodEvictsNoProved puts several times as many unproved sessions as the file holds,
// as handshakes that never finish do, with a restart in between. The proved sessions expire
// first.
func TestFloodEvictsNoProved(t *testing.T) {
	t.Parallel()
	const proved, flood, size = 3000, 30_000, 1000
	r := newRigIn(t, quickDir(t), Config{MaxBytes: minMaxBytes})
	v := value(size)
	for n := range proved {
		r.putAs(n, v, in(time.Hour), external.ClassProved)
	}
	for n := range flood {
		r.putAs(proved+n, v, in(2*time.Hour), external.ClassUnproved)
		if n == flood/2 {
			r.wantClasses()
		}
	}
	r.wantClasses()
	for n := range proved {
		r.want(key(n), v)
	}
	r.want(key(proved+flood-1), v)
	if n := len(r.index.slots); n > proved+flood/2 {
		t.Errorf("%d entries are left: the flood was smaller than the file", n)
	}
	if r.log.Len() > 0 {
		t.Error(&r.log)
	}
}

// TestFloodOfManyLifetimes floods the store with sessions whose lifetimes the clients
// chose, by the expiry of their certificates. Each batch is then spread over the file, and
// little fits. Proved sessions keep two fifths of MaxBytes.
func TestFloodOfManyLifetimes(t *testing.T) {
	t.Parallel()
	const proved, flood, size = 3000, 20_000, 1000
	r := newRigIn(t, quickDir(t), Config{MaxBytes: minMaxBytes})
	random := rand.New(rand.NewPCG(1, 6))
	v := value(size)
	for n := range proved {
		r.putAs(n, v, in(time.Hour), external.ClassProved)
	}
	for n := range flood {
		r.putAs(proved+n, v, in(2*time.Hour+time.Duration(random.IntN(3600))*time.Second), external.ClassUnproved)
	}
	r.wantClasses()
	for n := range proved {
		r.want(key(n), v)
	}
}

// TestProvedHoldFourFifths puts several times as many proved sessions as the file holds,
// and unproved ones of the same lifetime between them.
func TestProvedHoldFourFifths(t *testing.T) {
	t.Parallel()
	const entries, size = 30_000, 1000
	r := newRigIn(t, quickDir(t), Config{MaxBytes: minMaxBytes})
	v := value(size)
	for n := range entries {
		r.putAs(n, v, in(time.Hour), external.Class(n%2))
	}
	r.wantClasses()
	if share := r.share(); share < 0.75 || share > 0.801 {
		t.Errorf("proved sessions take %.3f of the store, want four fifths", share)
	}
	for n := entries - 500; n < entries; n++ {
		r.want(key(n), v)
	}
}

// TestProvedGiveWayBeyondTheirShare fills the file with proved sessions only, and checks
// that new unproved ones then get a fifth of the space, and no more.
func TestProvedGiveWayBeyondTheirShare(t *testing.T) {
	t.Parallel()
	const entries, size = 10_000, 1000
	r := newRigIn(t, quickDir(t), Config{MaxBytes: minMaxBytes})
	v := value(size)
	for n := range entries {
		r.putAs(n, v, in(time.Hour+time.Duration(n)*time.Millisecond), external.ClassProved)
	}
	r.flush(t)
	if r.share() != 1 {
		t.Fatal("the store already has unproved sessions")
	}
	for n := entries; n < 2*entries; n++ {
		r.putAs(n, v, in(2*time.Hour), external.ClassUnproved)
	}
	r.wantClasses()
	if share := r.share(); share < 0.795 || share > 0.805 {
		t.Errorf("proved sessions take %.3f of the store, want four fifths", share)
	}
	r.want(key(entries-1), v) // the last to expire
	r.wantAbsent(key(0))
}

// TestReplacedClass puts one key in alternating classes, with the same expiry and with
// different ones.
func TestReplacedClass(t *testing.T) {
	r := newRig(t, Config{})
	expires := in(time.Hour)
	for round, class := range []external.Class{0, 1, 0, 0, 1, 1, 0} {
		if round == 4 {
			expires = in(2 * time.Hour)
		}
		v := value(100 + round)
		r.putAs(1, v, expires, class)
		r.wantClasses()
		r.want(key(1), v)
		if at := r.index.slots[key(1)]; at.class != class {
			t.Errorf("round %d: the entry has class %d, want %d", round, at.class, class)
		}
	}
	if err := r.Delete(t.Context(), key(1)); err != nil {
		t.Fatal(err)
	}
	r.wantClasses()
	r.wantAbsent(key(1))
}

// TestUsage checks that the index's usage of each class stays correct through random
// operations.
func TestUsage(t *testing.T) {
	t.Parallel()
	r := newRigIn(t, quickDir(t), Config{MaxBytes: minMaxBytes})
	random := rand.New(rand.NewPCG(1, 5))
	for range 3 {
		for range 5000 {
			n := random.IntN(1500)
			switch random.IntN(10) {
			case 0:
				if err := r.Delete(t.Context(), key(n)); err != nil {
					t.Fatal(err)
				}
			default:
				expires := in(time.Hour + time.Duration(random.IntN(3))*time.Hour)
				r.putAs(n, value(1+random.IntN(9000)), expires, external.Class(random.IntN(2)))
			}
		}
		r.wantClasses()
	}
}

// TestEditsForetellUsage checks that edits returns the space that entries use after the
// batch, on which trim relies.
func TestEditsForetellUsage(t *testing.T) {
	r := newRig(t, Config{})
	expires := in(time.Hour)
	for n := range 6 {
		r.putAs(n, value(100), expires, external.Class(n%2))
	}
	r.flush(t)
	r.mu.Lock()
	for n, class := range []external.Class{0, 0, 1, 1} { // two stay in their class, two change it
		at := slot{nanoseconds(expires), 100, uint16(checksumSize + 500*n + 1), class}
		r.add(key(n), change{at, newRecord(at.id(key(n)), value(500*n+1))})
	}
	r.remove(key(4))
	_, foretold := r.edits(r.open)
	r.mu.Unlock()
	r.flush(t)
	if foretold != r.index.used {
		t.Errorf("edits foretold %d bytes of each class, and the index has %d", foretold, r.index.used)
	}
}

// TestSlotSize checks the documented memory use.
func TestSlotSize(t *testing.T) {
	if size := unsafe.Sizeof(slot{}); size != 16 {
		t.Errorf("a slot has %d bytes, want 16", size)
	}
}
