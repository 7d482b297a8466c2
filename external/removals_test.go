package external

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halfshake/halfshake"
)

// putMany puts n sessions and returns them.
func (f *fixture) putMany(t testing.TB, n int) []*halfshake.Session {
	t.Helper()
	sessions := make([]*halfshake.Session, n)
	for i := range sessions {
		sessions[i] = f.newSession(t)
		f.put(t, sessions[i])
		if i%1000 == 0 {
			synctest.Wait()
		}
	}
	synctest.Wait()
	return sessions
}

// found returns how many of the sessions are found.
func (f *fixture) found(t testing.TB, sessions []*halfshake.Session) (n int) {
	t.Helper()
	for _, s := range sessions {
		if f.get(t, s) != nil {
			n++
		}
	}
	return n
}

// However many sessions are removed while the store does not delete, none is found
// again, neither meanwhile nor by the next process once the store has caught up.
func TestManyRemovals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 60000
		store := mapStore()
		f := newFixture(t, store, Config{})
		sessions := f.putMany(t, count)
		remove := store.delete
		var up atomic.Bool
		store.delete = func(ctx context.Context, key Key) error {
			if !up.Load() {
				return errors.New("read-only")
			}
			return remove(ctx, key)
		}
		for _, s := range sessions {
			f.remove(s, halfshake.CauseExplicit)
		}
		if n := f.found(t, sessions); n != 0 || f.Stats().RemovalsPending != count {
			t.Errorf("%d of %d are found again; %+v", n, count, f.Stats())
		}
		up.Store(true)
		time.Sleep(2 * longestPause)
		if st := f.Stats(); st.RemovalsPending != 0 || st.Deleted != count {
			t.Errorf("%+v", st)
		}
		if n := newFixture(t, store, Config{Keys: f.keys}).found(t, sessions); n != 0 {
			t.Errorf("the next process finds %d", n)
		}
	})
}

// A Flush is one removal after another, with one deadline for all, and then Close.
func TestFlushThenClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mapStore()
		f := newFixture(t, store, Config{})
		sessions := f.putMany(t, 20000)
		remove := store.delete
		store.delete = func(ctx context.Context, key Key) error { // as a file that commits many at a time
			time.Sleep(5 * time.Millisecond)
			return remove(ctx, key)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, s := range sessions {
			f.Callbacks().Remove(ctx, nil, s, halfshake.CauseExplicit)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if n := newFixture(t, store, Config{Keys: f.keys}).found(t, sessions); n != 0 {
			t.Errorf("%d of %d resume after a restart", n, len(sessions))
		}
	})
}

// What clients cause to be removed takes no room from what operators remove. When its
// own room is full, new sessions are not stored, and no floor rises.
func TestAlertsPushNothingOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mapStore()
		f := newFixture(t, store, Config{})
		sessions := f.putMany(t, 2)
		removed, other := sessions[0], sessions[1]
		var up atomic.Bool
		remove := store.delete
		store.delete = func(ctx context.Context, key Key) error {
			if !up.Load() {
				return errors.New("read-only")
			}
			return remove(ctx, key)
		}
		f.remove(removed, halfshake.CauseExplicit)
		for range maxTombstones + 5000 {
			f.remove(f.newSession(t), halfshake.CauseAlert)
		}
		time.Sleep(11 * time.Second)
		if f.get(t, removed) != nil {
			t.Error("an explicit removal was pushed out")
		}
		if f.get(t, other) == nil {
			t.Error("clients raised a floor")
		}
		st := f.Stats()
		if st.Floors != 0 || st.Tombstones != maxTombstones+1 || st.Queued > 3*maxTombstones {
			t.Errorf("%+v", st)
		}
		s := f.newSession(t)
		if f.put(t, s); f.get(t, s) != nil || f.Stats().PutDropped != st.PutDropped+1 {
			t.Error("a session is stored though its removal could not be noted")
		}
		up.Store(true)
		time.Sleep(2 * longestPause)
		s = f.newSession(t)
		if f.put(t, s); f.get(t, s) == nil || f.Stats().RemovalsPending != 0 {
			t.Errorf("it does not recover: %+v", f.Stats())
		}
	})
}

// When the room for explicit removals is full, a floor takes the place of those whose
// lineages began first, for their scopes alone, and survives a restart.
func TestFullRoomRaisesAFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mapStore()
		f := newFixture(t, store, Config{})
		store.delete = func(context.Context, Key) error { return errors.New("read-only") }
		mine, others := halfshake.ScopeID{1}, halfshake.ScopeID{2}
		made := func(scope halfshake.ScopeID, age time.Duration) *halfshake.Session {
			d := f.draft(t)
			d.scope, d.lineage = scope, lineageAt(time.Now().Add(-age))
			d.expires = time.Now().Add(time.Hour)
			s := d.session(t)
			f.put(t, s)
			return s
		}
		old, otherOld, young := made(mine, 2*time.Hour), made(others, 2*time.Hour), made(mine, 0)
		var first *halfshake.Session
		for i := range maxTombstones + 1 {
			s := made(mine, time.Hour-time.Duration(i)*time.Millisecond)
			if i%1000 == 0 {
				synctest.Wait() // the queue has room for 8192
			}
			if i == 0 {
				first = s
			}
			f.remove(s, halfshake.CauseExplicit)
		}
		time.Sleep(2 * longestPause)
		check := func(f *fixture, which string) {
			if f.get(t, first) != nil || f.get(t, old) != nil {
				t.Errorf("%s: a session below the floor is found", which)
			}
			if f.get(t, otherOld) == nil || f.get(t, young) == nil {
				t.Errorf("%s: the floor names another scope's sessions, or younger ones", which)
			}
			if st := f.Stats(); st.Floors != 1 || st.Tombstones > maxTombstones*7/8+1 {
				t.Errorf("%s: %+v", which, st)
			}
		}
		check(f, "this process")
		if st := f.Stats(); st.RemovalsPending != st.Tombstones || st.DeleteDropped == 0 && st.Queued > 2*maxTombstones {
			t.Errorf("%+v", st)
		}
		check(newFixture(t, store, Config{Keys: f.keys}), "the next")
	})
}

// A look-up that began before a removal finds nothing, even if the store has
// acknowledged the deletion meanwhile and however many came after it.
func TestLookUpsInFlight(t *testing.T) {
	for name, remove := range map[string]func(*testing.T, *fixture, *halfshake.Session){
		"removed": func(_ *testing.T, f *fixture, s *halfshake.Session) { f.remove(s, halfshake.CauseExplicit) },
		"removed, and many after it": func(t *testing.T, f *fixture, s *halfshake.Session) {
			f.remove(s, halfshake.CauseExplicit)
			synctest.Wait()
			for range settledTombstones + 1 {
				f.remove(f.newSession(t), halfshake.CauseAlert)
			}
		},
		"lineage ended": func(t *testing.T, f *fixture, s *halfshake.Session) {
			f.endNow(t, halfshake.Removal{Lineage: s.Lineage()})
		},
		"scope ended": func(t *testing.T, f *fixture, s *halfshake.Session) {
			f.endNow(t, halfshake.Removal{Scope: s.ScopeID(), Before: time.Now()})
		},
		"key replaced": func(t *testing.T, f *fixture, _ *halfshake.Session) {
			if err := f.SetKeys(testKeys(time.Now())); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := mapStore()
				f := newFixture(t, store, Config{ReadLimit: time.Hour})
				s := f.putMany(t, 1)[0]
				answer, ask := make(chan bool), store.get
				store.get = func(ctx context.Context, key Key) ([]byte, error) {
					value, err := ask(ctx, key)
					<-answer // what was read before the removal comes late
					return value, err
				}
				found := make(chan bool)
				go func() { found <- f.get(t, s) != nil }()
				synctest.Wait()
				remove(t, f, s)
				synctest.Wait()
				if st := f.Stats(); st.RemovalsPending != 0 {
					t.Fatalf("not acknowledged: %+v", st)
				}
				close(answer)
				if <-found {
					t.Error("found")
				}
			})
		})
	}
}

// A key that is not in force yet, here, may have made sessions elsewhere. None is found
// once the key is gone, though its lineage goes on.
func TestLookUpOfAKeyThatGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mapStore()
		first := testKeys(time.Now())
		ring, err := first.Rotate(time.Now(), time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		recordKeys(ring)
		f := newFixture(t, store, Config{Keys: ring, ReadLimit: time.Hour})
		d := f.draft(t)
		d.id = ring.keys[1].newID()
		s := d.session(t)
		f.put(t, s)
		synctest.Wait()
		if f.get(t, s) == nil {
			t.Fatal("not found while the key is there")
		}
		ask := store.get
		store.get = func(ctx context.Context, key Key) ([]byte, error) {
			if err := f.SetKeys(first); err != nil {
				t.Error(err)
			}
			return ask(ctx, key)
		}
		if f.get(t, s) != nil || f.Stats().Floors != 0 {
			t.Error("found, or its lineage has ended")
		}
	})
}

func (f *fixture) endNow(t testing.TB, removed halfshake.Removal) {
	t.Helper()
	if err := f.Callbacks().End(t.Context(), removed); err != nil {
		t.Error(err)
	}
}

// Explicit removals and revocations wait until the store has acknowledged them, or
// until their context is done. What clients cause waits for nothing.
func TestWhoWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &callStore{delete: func(context.Context, Key) error { time.Sleep(300 * time.Millisecond); return nil }}
		took := func(cause halfshake.Cause, limit time.Duration) time.Duration {
			f := newFixture(t, store, Config{})
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			begun := time.Now()
			f.Callbacks().Remove(ctx, nil, f.newSession(t), cause)
			return time.Since(begun)
		}
		for cause, want := range map[halfshake.Cause]time.Duration{
			halfshake.CauseExplicit: 300 * time.Millisecond, halfshake.CauseRevoked: 300 * time.Millisecond,
			halfshake.CauseAlert: 0, halfshake.CauseUsed: 0, halfshake.CauseUncleanClose: 0, halfshake.CauseFaulty: 0, halfshake.CauseDeclined: 0,
		} {
			if got := took(cause, time.Second); got != want {
				t.Errorf("%v took %v, want %v", cause, got, want)
			}
		}
		if got := took(halfshake.CauseExplicit, 100*time.Millisecond); got != 100*time.Millisecond {
			t.Errorf("with a deadline: %v", got)
		}
	})
	synctest.Test(t, func(t *testing.T) { // the same session twice: the second waits for the first
		store := &callStore{delete: func(context.Context, Key) error { time.Sleep(300 * time.Millisecond); return nil }}
		f := newFixture(t, store, Config{})
		s := f.newSession(t)
		f.remove(s, halfshake.CauseAlert)
		time.Sleep(100 * time.Millisecond)
		begun := time.Now()
		f.Callbacks().Remove(t.Context(), nil, s, halfshake.CauseExplicit)
		if took := time.Since(begun); took != 200*time.Millisecond || f.Stats().RemovalsPending != 0 || f.Stats().Deleted != 1 {
			t.Errorf("took %v; %+v", took, f.Stats())
		}
	})
}

// Close tries what it can for its time, and says what the store has not recorded.
func TestCloseSaysWhatIsNotRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, keep := mapStore(), &callStore{}
		f := newFixture(t, store, Config{})
		sessions := f.putMany(t, 50)
		failing, remove := atomic.Bool{}, store.delete
		failing.Store(true)
		unless := func(do func() error) error {
			if failing.Load() {
				return errors.New("down")
			}
			return do()
		}
		store.load = keep.Load
		store.delete = func(ctx context.Context, key Key) error {
			return unless(func() error { return remove(ctx, key) })
		}
		store.swap = func(ctx context.Context, old, next []byte) error {
			return unless(func() error { return keep.CompareAndSwap(ctx, old, next) })
		}
		for _, s := range sessions[1:] {
			f.remove(s, halfshake.CauseExplicit)
		}
		if err := f.Callbacks().End(t.Context(), halfshake.Removal{Lineage: sessions[0].Lineage()}); !errors.Is(err, ErrNotRecorded) {
			t.Error(err)
		}
		time.Sleep(30 * time.Second) // the pauses are at their longest
		time.AfterFunc(closeLimit-500*time.Millisecond, func() { failing.Store(false) })
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if n := newFixture(t, store, Config{Keys: f.keys}).found(t, sessions); n != 0 {
			t.Errorf("%d of %d resume after a restart", n, len(sessions))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		store := mapStore()
		store.delete = func(context.Context, Key) error { return errors.New("down") }
		store.swap = func(context.Context, []byte, []byte) error { return errors.New("down") }
		f := newFixture(t, store, Config{})
		for _, s := range f.putMany(t, 3) {
			f.remove(s, halfshake.CauseExplicit)
		}
		if err := f.Callbacks().End(t.Context(), halfshake.Removal{Lineage: lineageAt(time.Now())}); !errors.Is(err, ErrNotRecorded) {
			t.Error(err)
		}
		begun := time.Now()
		err := f.Close()
		if err == nil || !strings.Contains(err.Error(), "not recorded 4 removals") || time.Since(begun) > closeLimit+closeGraceTime {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		f.remove(f.newSession(t), halfshake.CauseExplicit)
		if st := f.Stats(); st.RemovalsPending != 5 {
			t.Errorf("a removal after Close is not counted: %+v", st)
		}
		if err := f.Callbacks().End(t.Context(), halfshake.Removal{}); !errors.Is(err, ErrNotRecorded) {
			t.Error(err)
		}
	})
}

// Admit asks of every session what Get asks of the store's, without I/O.
func TestAdmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h history
		store := mapStore()
		store.get = func(context.Context, Key) ([]byte, error) { h.add("get"); return nil, ErrNotFound }
		store.take = func(context.Context, Key) ([]byte, error) { h.add("take"); return nil, ErrNotFound }
		f := newFixture(t, store, Config{})
		good, removed, ended := f.newSession(t), f.newSession(t), f.newSession(t)
		scoped := f.draft(t)
		scoped.scope = halfshake.ScopeID{7}
		flushed := scoped.session(t)
		foreign := draft{id: []byte("an id of some other NewID's make"), created: time.Now(), expires: time.Now().Add(time.Minute)}.session(t)
		f.endNow(t, halfshake.Removal{Lineage: ended.Lineage()})
		f.endNow(t, halfshake.Removal{Scope: flushed.ScopeID(), Before: flushed.LineageStart()})
		store.delete = func(context.Context, Key) error { return errors.New("down") }
		f.remove(removed, halfshake.CauseExplicit)
		for name, c := range map[string]struct {
			s    *halfshake.Session
			want bool
		}{
			"good": {good, true}, "removed": {removed, false}, "its lineage ended": {ended, false},
			"its scope ended": {flushed, false}, "another NewID's": {foreign, false},
		} {
			if f.admit(t, c.s) != c.want {
				t.Errorf("%s: admitted: %v", name, !c.want)
			}
		}
		if f.Stats().Removed != 3 || f.Stats().Foreign != 1 || h.String() != "" {
			t.Errorf("%v; %+v", &h, f.Stats())
		}
		if err := f.SetKeys(testKeys(time.Now())); err != nil {
			t.Error(err)
		}
		if f.admit(t, good) {
			t.Error("admitted under keys that are gone")
		}
		f.Close()
		if f.admit(t, f.newSession(t)) {
			t.Error("admitted after Close")
		}
	})
}

// What one Cache of a process removes, another does not resume from its own memory, also
// once the store has acknowledged the deletion. The one that removed it may add it again.
func TestRemovalReachesOtherCaches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, mapStore(), Config{})
		one, other := f.Callbacks(), f.Callbacks()
		s, client := f.newSession(t), f.newSession(t)
		f.put(t, s)
		f.put(t, client)
		synctest.Wait()
		one.Remove(t.Context(), nil, s, halfshake.CauseExplicit)
		one.Remove(t.Context(), nil, client, halfshake.CauseAlert)
		synctest.Wait()
		if f.Stats().RemovalsPending != 0 {
			t.Fatalf("%+v", f.Stats())
		}
		if other.Admit(t.Context(), halfshake.ConnInfo{}, s) {
			t.Error("another Cache goes on resuming what was removed")
		}
		if !one.Admit(t.Context(), halfshake.ConnInfo{}, s) {
			t.Error("the Cache that removed it cannot add it again")
		}
		time.Sleep(2 * time.Minute) // until it has expired
		if !other.Admit(t.Context(), halfshake.ConnInfo{}, client) {
			t.Error("an alert in one Cache ends the session in all")
		}
	})
}
