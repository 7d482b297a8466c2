package external

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halfshake/halfshake"
)

// A gate is a store that notes what it is asked to do, and does it when it is told.
type gate struct {
	callStore
	history
	pass chan error
}

func newGate() *gate {
	g := &gate{pass: make(chan error)}
	g.put = func(ctx context.Context, _ Key, _ []byte, _ time.Time, _ Class) error { return g.await(ctx, "put") }
	g.delete = func(ctx context.Context, _ Key) error { return g.await(ctx, "delete") }
	return g
}

func (g *gate) await(ctx context.Context, deed string) error {
	g.add("%s", deed)
	select {
	case err := <-g.pass:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A put does not hold up the handshake, and is found before it has reached the
// store.
func TestPutIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		f := newFixture(t, g, Config{})
		waiting, running := f.newSession(t), f.newSession(t)
		for f.keyOf(waiting)[0]%laneCount != f.keyOf(running)[0]%laneCount {
			waiting = f.newSession(t)
		}
		before := time.Now()
		f.put(t, running)
		synctest.Wait()
		f.put(t, waiting)
		if took := time.Since(before); took != 0 {
			t.Errorf("the handshake waited for %v", took)
		}
		if st := f.Stats(); st.Queued != 1 || st.QueuedBytes == 0 || st.Put != 0 {
			t.Errorf("%+v", st)
		}
		if f.get(t, running) == nil || f.get(t, waiting) == nil {
			t.Error("a session on its way to the store is not found")
		}
		g.pass <- nil
		g.pass <- nil
		synctest.Wait()
		if st := f.Stats(); st.Put != 2 || st.QueuedBytes != 0 || st.Hits != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// A removal cancels a Put that waits, and comes after one that is under way.
func TestRemovalIsOrdered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		f := newFixture(t, g, Config{})
		s := f.newSession(t)
		f.put(t, s)
		synctest.Wait()
		f.remove(s, halfshake.CauseExplicit)
		synctest.Wait()
		if g.String() != "put" {
			t.Errorf("while the put is under way: %v", &g.history)
		}
		g.pass <- nil
		synctest.Wait()
		g.pass <- nil
		synctest.Wait()
		if g.String() != "put, delete" || f.Stats().Deleted != 1 {
			t.Errorf("%v; %+v", &g.history, f.Stats())
		}

		g.deeds = nil
		first, second := f.newSession(t), f.newSession(t)
		for f.keyOf(first)[0]%laneCount != f.keyOf(second)[0]%laneCount {
			second = f.newSession(t)
		}
		f.put(t, first)
		synctest.Wait()
		f.put(t, second)
		f.remove(second, halfshake.CauseExplicit)
		g.pass <- nil
		synctest.Wait()
		g.pass <- nil
		synctest.Wait()
		if st := f.Stats(); g.String() != "put, delete" || st.PutDropped != 1 || st.QueuedBytes != 0 {
			t.Errorf("a put that waited was not cancelled: %v; %+v", &g.history, st)
		}
	})
}

// A session that was removed is not put any more, neither while its removal is on its
// way nor when that has been carried out.
func TestRemovedIsNotPut(t *testing.T) {
	for _, carriedOut := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var h history
			store := mapStore()
			f := newFixture(t, store, Config{})
			s := f.newSession(t)
			f.remove(s, halfshake.CauseDeclined)
			if carriedOut {
				synctest.Wait()
			}
			store.put = func(context.Context, Key, []byte, time.Time, Class) error { h.add("put"); return nil }
			f.put(t, s)
			synctest.Wait()
			if h.String() != "" || f.Stats().Removed != 1 {
				t.Errorf("carried out %v: %v; %+v", carriedOut, &h, f.Stats())
			}
		})
	}
}

// The same session removed over and over is one removal.
func TestRemovedManyTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		f := newFixture(t, g, Config{})
		s, other := f.newSession(t), f.newSession(t)
		for f.keyOf(s)[0]%laneCount != f.keyOf(other)[0]%laneCount {
			other = f.newSession(t)
		}
		f.remove(s, halfshake.CauseExplicit)
		synctest.Wait()
		g.pass <- errors.New("failed")
		f.put(t, other)
		synctest.Wait()
		f.remove(s, halfshake.CauseExplicit) // while the first waits for another try
		g.pass <- nil
		synctest.Wait()
		g.pass <- nil
		time.Sleep(time.Second)
		if st := f.Stats(); st.Queued != 0 || st.Deleted != 1 || g.String() != "delete, put, delete" {
			t.Errorf("%v; %+v", &g.history, st)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		store := &callStore{delete: func(context.Context, Key) error {
			if !up.Load() {
				return errors.New("down")
			}
			return nil
		}}
		f := newFixture(t, store, Config{})
		s := f.newSession(t)
		for range 20 {
			f.remove(s, halfshake.CauseExplicit)
			time.Sleep(retryPause / 3)
		}
		up.Store(true)
		time.Sleep(20 * time.Second)
		if st := f.Stats(); st.Queued != 0 || st.Deleted == 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestQueueIsBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, newGate(), Config{QueueSize: 1 << 30})
		f.writes.bytes.Store(maxQueueBytes - 1)
		f.put(t, f.newSession(t))
		if st := f.Stats(); st.PutDropped != 1 || st.QueuedBytes != maxQueueBytes-1 {
			t.Errorf("%+v", st)
		}
		f.writes.bytes.Store(0)
	})
}

// A put that failed may have happened; made again it could bring back what another
// machine has removed since. A removal is made again until it succeeds.
func TestWhatIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		f := newFixture(t, g, Config{})
		s := f.newSession(t)
		f.put(t, s)
		synctest.Wait()
		g.pass <- errors.New("failed, or happened")
		time.Sleep(time.Minute / 2)
		if st := f.Stats(); g.String() != "put" || st.PutFailed != 1 || st.QueuedBytes != 0 {
			t.Errorf("%v; %+v", &g.history, st)
		}
		f.remove(s, halfshake.CauseExplicit)
		for range 3 {
			synctest.Wait()
			g.pass <- errors.New("failed")
			time.Sleep(retryPause)
		}
		g.pass <- nil
		time.Sleep(time.Minute)
		if st := f.Stats(); g.String() != "put, delete, delete, delete, delete" || st.DeleteFailed != 3 || st.Deleted != 1 || st.Queued != 0 {
			t.Errorf("%v; %+v", &g.history, st)
		}
	})
}

// A removal is given up when its session has expired anyway.
func TestRemovalEndsWithItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries atomic.Int64
		store := &callStore{delete: func(context.Context, Key) error { tries.Add(1); return errors.New("read-only") }}
		f := newFixture(t, store, Config{})
		f.remove(f.newSession(t), halfshake.CauseExplicit)
		time.Sleep(2 * time.Minute)
		atExpiry := tries.Load()
		time.Sleep(time.Hour)
		if st := f.Stats(); tries.Load() != atExpiry || atExpiry < failuresToOpen || st.DeleteDropped != 1 || st.Queued != 0 {
			t.Errorf("%d tries, then %d; %+v", atExpiry, tries.Load(), st)
		}
	})
}

// Removals that failed are made as soon as writes succeed again, and puts for one
// lane go on between them.
func TestFailedRemovalsDoNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h history
		var mayDelete atomic.Bool
		store := &callStore{
			put: func(context.Context, Key, []byte, time.Time, Class) error { h.add("put"); return nil },
			delete: func(context.Context, Key) error {
				if !mayDelete.Load() {
					return errors.New("no right to delete")
				}
				h.add("delete")
				return nil
			},
		}
		f := newFixture(t, store, Config{})
		for range 40 {
			f.remove(f.newSession(t), halfshake.CauseExplicit)
		}
		for range 30 {
			f.put(t, f.newSession(t))
			time.Sleep(time.Second / 2)
		}
		if n := strings.Count(h.String(), "put"); n != 30 {
			t.Errorf("%d of 30 puts were made", n)
		}
		mayDelete.Store(true)
		time.Sleep(longestPause + laneCount*retryPause)
		if n := strings.Count(h.String(), "delete"); n != 40 {
			t.Errorf("%d of 40 removals were made; %+v", n, f.Stats())
		}
	})
}

// While the store does not answer to writes, new sessions are dropped at once, and
// one line a change of state is logged.
func TestWritesRecover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var puts atomic.Int64
		var up atomic.Bool
		store := &callStore{put: func(context.Context, Key, []byte, time.Time, Class) error {
			puts.Add(1)
			if !up.Load() {
				return errors.New("no space left on device")
			}
			return nil
		}}
		f := newFixture(t, store, Config{})
		for range 1000 {
			f.put(t, f.newSession(t))
			synctest.Wait()
		}
		if st := f.Stats(); puts.Load() != failuresToOpen || st.Putting || st.PutDropped != 1000-failuresToOpen {
			t.Errorf("%d puts; %+v", puts.Load(), st)
		}
		up.Store(true)
		time.Sleep(firstPause)
		for range 10 {
			f.put(t, f.newSession(t))
			synctest.Wait()
		}
		if st := f.Stats(); st.Put != 10 || !st.Putting {
			t.Errorf("it does not recover: %+v", st)
		}
		want := []string{"WARN session store does not answer; handshakes go on without it put", "WARN session store answers again put"}
		if got := f.log.messages(); !slices.Equal(got, want) {
			t.Errorf("the log says: %q", got)
		}
	})
}

// A write that hangs counts as a failure when its time is over, also where the
// store does not heed its context; the lane waits for it all the same.
func TestHungWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var h history
		store := &callStore{
			put:    func(context.Context, Key, []byte, time.Time, Class) error { <-release; h.add("put"); return nil },
			delete: func(context.Context, Key) error { h.add("delete"); return nil },
		}
		f := newFixture(t, store, Config{})
		sessions := make([]*halfshake.Session, 50*laneCount)
		for i := range sessions {
			sessions[i] = f.newSession(t)
			f.put(t, sessions[i])
		}
		synctest.Wait()
		for _, s := range sessions {
			f.remove(s, halfshake.CauseExplicit)
		}
		time.Sleep(writeLimit)
		synctest.Wait()
		if st := f.Stats(); st.Putting || h.String() != "" {
			t.Errorf("%v; %+v", &h, st)
		}
		close(release)
		time.Sleep(longestPause)
		puts, deletes := strings.Count(h.String(), "put"), strings.Count(h.String(), "delete")
		if puts != laneCount || deletes != len(sessions) || !strings.HasPrefix(h.String(), "put") {
			t.Errorf("%d puts, %d deletes", puts, deletes)
		}
	})
}

func TestWriteThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ store, limit, want time.Duration }{
			{100 * time.Millisecond, time.Second, 100 * time.Millisecond},
			{3 * time.Second, time.Second, time.Second},
		} {
			store := &callStore{put: func(context.Context, Key, []byte, time.Time, Class) error { time.Sleep(c.store); return nil }}
			f := newFixture(t, store, Config{WriteThrough: c.limit})
			before := time.Now()
			f.put(t, f.newSession(t))
			if took := time.Since(before); took != c.want {
				t.Errorf("a store that takes %v and a limit of %v: the handshake waited %v", c.store, c.limit, took)
			}
			time.Sleep(5 * time.Second)
			if f.Stats().Put != 1 {
				t.Errorf("%+v", f.Stats())
			}
		}
		f := newFixture(t, newGate(), Config{WriteThrough: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before := time.Now()
		f.Callbacks().New(ctx, halfshake.ConnInfo{}, f.newSession(t))
		if took := time.Since(before); took != time.Second {
			t.Errorf("a handshake that has ended waits for %v", took)
		}
	})
}

// A session that has expired while it waited is not written.
func TestExpiredPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		f := newFixture(t, g, Config{})
		late := f.draft(t)
		late.created, late.expires = time.Now().Add(-time.Hour), time.Now().Add(-time.Second)
		f.put(t, late.session(t))
		synctest.Wait()
		if st := f.Stats(); g.String() != "" || st.PutDropped != 1 {
			t.Errorf("%v; %+v", &g.history, st)
		}
	})
}

// Close writes what is queued; what a store holds up is given up, and said.
func TestCloseWritesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var puts atomic.Int64
		slow := make(chan struct{}, 1) // one at a time
		store := &callStore{put: func(context.Context, Key, []byte, time.Time, Class) error {
			slow <- struct{}{}
			time.Sleep(10 * time.Millisecond)
			puts.Add(1)
			<-slow
			return nil
		}}
		f := newFixture(t, store, Config{})
		for range 200 {
			f.put(t, f.newSession(t))
		}
		if err := f.Close(); err != nil || puts.Load() != 200 {
			t.Errorf("%d of 200 puts were made: %v", puts.Load(), err)
		}
		s := f.newSession(t)
		if f.put(t, s); f.get(t, s) != nil {
			t.Error("a closed External finds a session")
		}
		f.remove(s, halfshake.CauseExplicit)
		if err := f.Close(); err != nil {
			t.Errorf("a second Close: %v", err)
		}
	})
}

// TestCloseMissesNoRemovedSession checks that Close does not report a session as lost that
// was removed before it was written.
func TestCloseMissesNoRemovedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, &callStore{}, Config{})
		f.proved = func(*halfshake.Session) bool { return false }
		s := f.newSession(t)
		f.put(t, s) // waits for its proof
		f.endNow(t, halfshake.Removal{Lineage: s.Lineage()})
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	for _, heeds := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			store := &callStore{put: func(ctx context.Context, _ Key, _ []byte, _ time.Time, _ Class) error {
				if heeds {
					<-ctx.Done()
					return ctx.Err()
				}
				<-release
				return nil
			}}
			f := newFixture(t, store, Config{})
			for range 100 {
				f.put(t, f.newSession(t))
			}
			before := time.Now()
			err := f.Close()
			if took := time.Since(before); err == nil || took > closeLimit+closeGraceTime {
				t.Errorf("Close took %v and returned %v", took, err)
			}
			close(release)
			synctest.Wait()
			if n := f.writes.bytes.Load(); n != 0 {
				t.Errorf("%d bytes are still accounted for", n)
			}
		})
	}
}

// A random history against one key's writes: what the store holds in the end is
// what was asked for last, whatever failed meanwhile and happened all the same.
func TestLastWriteWins(t *testing.T) {
	for seed := range 20 {
		synctest.Test(t, func(t *testing.T) {
			random := newRandom(seed)
			store, honest := &callStore{}, mapStore()
			store.get = honest.get
			flaky := func(err error) error {
				time.Sleep(time.Duration(random.IntN(50)) * time.Millisecond)
				if err == nil && random.IntN(6) == 0 {
					return errors.New("failed but happened")
				}
				return err
			}
			store.put = func(ctx context.Context, key Key, value []byte, expires time.Time, class Class) error {
				if random.IntN(3) == 0 {
					return flaky(errors.New("failed"))
				}
				return flaky(honest.put(ctx, key, value, expires, class))
			}
			store.delete = func(ctx context.Context, key Key) error {
				if random.IntN(6) == 0 {
					return flaky(errors.New("failed"))
				}
				return flaky(honest.delete(ctx, key))
			}
			f := newFixture(t, store, Config{})
			removed := map[*halfshake.Session]bool{}
			for range 200 {
				s := f.newSession(t)
				f.put(t, s)
				time.Sleep(time.Duration(random.IntN(30)) * time.Millisecond)
				if random.IntN(2) == 0 {
					f.remove(s, halfshake.CauseExplicit)
					removed[s] = true
				}
			}
			time.Sleep(40 * time.Second)
			for s := range removed {
				if _, err := honest.get(t.Context(), f.keyOf(s)); !errors.Is(err, ErrNotFound) {
					t.Fatal(fmt.Sprint("seed ", seed, ": a session that was removed is in the store"), f.Stats())
				}
			}
		})
	}
}
