package external

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/internal/tombstone"
)

// Puts that do not fit into the queue are dropped and counted. Removals always fit.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 30 * laneCount
		g := newGate()
		f := newFixture(t, g, Config{QueueSize: 10 * laneCount})
		var sessions []*halfshake.Session
		for range count {
			s := f.newSession(t)
			sessions = append(sessions, s)
			f.put(t, s)
		}
		synctest.Wait()
		st := f.Stats()
		if st.Queued > 10*laneCount || st.PutDropped < count-11*laneCount || st.PutDropped+st.Queued > count {
			t.Errorf("%+v", st)
		}
		for _, s := range sessions {
			f.remove(s, halfshake.CauseExplicit)
		}
		st = f.Stats()
		if st.RemovalsPending != count || st.DeleteDropped != 0 || st.PutDropped+laneCount < count {
			t.Errorf("%+v", st)
		}
		for _, s := range sessions {
			if f.get(t, s) != nil {
				t.Fatal("a session that was removed is found")
			}
		}
		go func() {
			for {
				select {
				case g.pass <- nil:
				case <-t.Context().Done():
					return
				}
			}
		}()
		synctest.Wait()
		if st := f.Stats(); st.Queued != 0 || st.QueuedBytes != 0 || st.Deleted != count || st.RemovalsPending != 0 {
			t.Errorf("when the store goes on: %+v", st)
		}
	})
}

// A flood of new sessions does not keep others from being removed, and unproved ones
// do not keep proved ones out.
func TestEachKindOfWriteHasItsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, newGate(), Config{QueueSize: 10 * laneCount})
		var isProved atomic.Bool
		f.proved = func(*halfshake.Session) bool { return isProved.Load() }
		for range 30 * laneCount {
			f.put(t, f.newSession(t))
		}
		before := f.Stats()
		isProved.Store(true)
		for range laneCount {
			f.put(t, f.newSession(t))
			f.remove(f.newSession(t), halfshake.CauseAlert)
		}
		if st := f.Stats(); before.PutDropped == 0 || st.PutDropped != before.PutDropped || st.DeleteDropped != 0 {
			t.Errorf("before %+v, after %+v", before, st)
		}
	})
}

// What takes the place of waiting puts leaves nothing behind in the queue: their
// removals, and resumptions that claim them.
func TestWhatReplacesPutsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, newGate(), Config{QueueSize: 10 * laneCount})
		var isProved atomic.Bool
		f.proved = func(*halfshake.Session) bool { return isProved.Load() }
		for i := range 200 * laneCount {
			isProved.Store(i%2 == 0)
			d := f.draft(t)
			d.earlyData = true
			s := d.session(t)
			f.put(t, s)
			if i%4 < 2 {
				f.admit(t, s)
			} else {
				f.remove(s, halfshake.CauseAlert)
			}
		}
		if st := f.Stats(); st.QueuedBytes > laneCount*1024 || st.RemovalsPending > 101*laneCount {
			t.Errorf("%+v", st)
		}
		for i := range f.writes.lanes {
			l := &f.writes.lanes[i]
			if listed := len(l.ready) + len(l.unproved) + len(l.failed); listed > 2*len(l.waits)+slack+1 || l.counts[provedPut]+l.counts[unprovedPut] > 10 {
				t.Errorf("lane %d: %d writes in its lists, %d wait: %v", i, listed, len(l.waits), l.counts)
			}
		}
	})
}

// A put that comes to its lane after a removal of the same key is not made.
func TestRemovalIsTheLastWord(t *testing.T) {
	var l lane
	l.init(10, tombstone.New[Key](tombstone.Limits{Operator: 10}))
	put := func() *write {
		return &write{key: Key{1}, value: []byte{1}, done: make(chan struct{}), kind: provedPut}
	}
	remove := &write{key: Key{1}, done: make(chan struct{}), kind: removal}
	l.addDelete(remove)
	if _, ok := l.addPut(put()); ok {
		t.Error("a put took the place of a removal that waits")
	}
	if op, _, _ := l.next(time.Now()); op != remove {
		t.Fatal("the removal is not next")
	}
	if _, ok := l.addPut(put()); ok {
		t.Error("a put was queued behind a removal that is being made")
	}
}

// A removal that is being made stands for one of the same key that comes meanwhile,
// also if it must be made again.
func TestRemovalStandsForAnother(t *testing.T) {
	var l lane
	l.init(10, tombstone.New[Key](tombstone.Limits{Operator: 10}))
	another := func() *write { return &write{key: Key{1}, done: make(chan struct{}), kind: removal} }
	first, _ := l.addDelete(another())
	l.next(time.Now())
	if second, _ := l.addDelete(another()); second != first {
		t.Error("a second removal was queued")
	}
	l.made(first, again)
	if third, _ := l.addDelete(another()); third != first || l.count() != 1 || l.counts[removal] != 1 {
		t.Errorf("%d writes wait, %v", l.count(), l.counts)
	}
}

// A lane forgets the removals whose tombstones are gone, so that it has no more of them
// than there is room for tombstones.
func TestRemovalsWithoutTombstonesAreDropped(t *testing.T) {
	var l lane
	stones := tombstone.New[Key](tombstone.Limits{Client: 100})
	l.init(10, stones)
	dropped := 0
	for i := range 10 * minPrune {
		key := Key{0, byte(i >> 8), byte(i)}
		stones.Add(key, tombstone.Stone{ByClient: true, Until: time.Now().Add(time.Hour)}, time.Now())
		_, gone := l.addDelete(&write{key: key, done: make(chan struct{}), kind: removal})
		dropped += len(gone)
		if n := l.count(); n > minPrune+100 || n+dropped != i+1 || len(l.ready) > 2*n+slack {
			t.Fatalf("after %d: %d wait, %d listed, %d dropped", i+1, n, len(l.ready), dropped)
		}
	}
}
