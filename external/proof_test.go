package external

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halfshake/halfshake"
)

// A put is one write of a session, with the class that it had by then. It waits up to
// a second for the proof.
func TestPutWaitsForProof(t *testing.T) {
	for name, c := range map[string]struct {
		provedAfter, writtenAfter time.Duration
		class                     Class
		cfg                       Config
		written                   bool
		meanwhile                 func(*testing.T, *fixture, *halfshake.Session)
	}{
		"proved at once":    {0, 0, ClassProved, Config{}, true, nil},
		"proved in time":    {310 * time.Millisecond, 400 * time.Millisecond, ClassProved, Config{}, true, nil},
		"proved too late":   {2 * time.Second, time.Second, ClassUnproved, Config{}, true, nil},
		"written through":   {300 * time.Millisecond, 0, ClassUnproved, Config{WriteThrough: time.Hour}, true, nil},
		"removed meanwhile": {300 * time.Millisecond, 0, 0, Config{}, false, func(_ *testing.T, f *fixture, s *halfshake.Session) { f.remove(s, halfshake.CauseAlert) }},
		"ended meanwhile": {300 * time.Millisecond, 0, 0, Config{}, false, func(t *testing.T, f *fixture, s *halfshake.Session) {
			f.endNow(t, halfshake.Removal{Lineage: s.Lineage()})
		}},
		"its key replaced meanwhile": {300 * time.Millisecond, 0, 0, Config{}, false, func(t *testing.T, f *fixture, _ *halfshake.Session) {
			if err := f.SetKeys(testKeys(time.Now())); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				var puts atomic.Int64
				store := &callStore{put: func(_ context.Context, _ Key, _ []byte, _ time.Time, class Class) error {
					puts.Add(1)
					if after := time.Since(begun); after != c.writtenAfter || class != c.class {
						t.Errorf("put after %v with class %d, want %v and %d", after, class, c.writtenAfter, c.class)
					}
					return nil
				}}
				f := newFixture(t, store, c.cfg)
				f.proved = func(*halfshake.Session) bool { return time.Since(begun) >= c.provedAfter }
				s := f.newSession(t)
				f.put(t, s)
				if c.meanwhile != nil {
					c.meanwhile(t, f, s)
				}
				time.Sleep(5 * time.Second)
				if (puts.Load() == 1) != c.written || puts.Load() > 1 {
					t.Errorf("%d puts", puts.Load())
				}
				if st := f.Stats(); st.Queued != 0 || st.QueuedBytes != 0 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// A lane that is half full of unproved sessions does not wait for their proofs, and
// Close does not either.
func TestUnprovedPutsMayHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, mapStore(), Config{QueueSize: 100 * laneCount})
		f.proved = func(*halfshake.Session) bool { return false }
		for range 90 * laneCount {
			f.put(t, f.newSession(t))
			synctest.Wait()
		}
		if st := f.Stats(); st.PutDropped != 0 || st.Put == 0 || st.Queued < 40*laneCount {
			t.Errorf("within no time: %+v", st)
		}
		begun := time.Now()
		if err := f.Close(); err != nil || time.Since(begun) != 0 || f.Stats().Put != 90*laneCount {
			t.Errorf("Close took %v and returned %v: %+v", time.Since(begun), err, f.Stats())
		}
	})
}

// An idle External does nothing: its lanes look for proof only while a session waits.
func TestIdleLanesSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		f := newFixture(t, mapStore(), Config{})
		f.proved = func(*halfshake.Session) bool { asked++; return false }
		f.put(t, f.newSession(t))
		time.Sleep(time.Hour)
		synctest.Wait()
		if asked > int(proofWait/proofInterval)+3 {
			t.Errorf("asked for proof %d times", asked)
		}
	})
}
