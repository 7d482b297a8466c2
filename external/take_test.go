package external

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halfshake/halfshake"
)

func (f *fixture) newEarly(t testing.TB) *halfshake.Session {
	t.Helper()
	d := f.draft(t)
	d.earlyData = true
	return d.session(t)
}

// A session that allows early data is admitted once, whichever machine asks, however
// many ask at a time, and across a restart: from the store, from the queue on its way
// there, and while it is being written.
func TestEarlyDataIsAdmittedOnce(t *testing.T) {
	for name, where := range map[string]struct {
		proved bool
		delay  time.Duration // before it is asked for
	}{
		"in the store":        {true, time.Second},
		"being written":       {true, time.Millisecond},
		"waits for its proof": {false, time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := mapStore()
				put := store.put
				store.put = func(ctx context.Context, key Key, value []byte, expires time.Time, class Class) error {
					time.Sleep(20 * time.Millisecond)
					return put(ctx, key, value, expires, class)
				}
				f := newFixture(t, store, Config{})
				other := newFixture(t, store, Config{Keys: f.keys})
				f.proved = func(*halfshake.Session) bool { return where.proved }
				s := f.newEarly(t)
				f.put(t, s)
				time.Sleep(where.delay)
				var admitted atomic.Int64
				var all sync.WaitGroup
				for i := range 100 {
					all.Go(func() {
						if by := []*fixture{f, other}[i%2]; by.admit(t, s) {
							admitted.Add(1)
						}
					})
				}
				all.Wait()
				if admitted.Load() != 1 {
					t.Errorf("admitted %d times", admitted.Load())
				}
				time.Sleep(2 * time.Second)
				f.Close()
				if next := newFixture(t, store, Config{Keys: f.keys}); next.get(t, s) != nil || next.admit(t, s) || f.admit(t, s) {
					t.Error("found or admitted afterwards")
				}
			})
		})
	}
}

// Where the take does not return the session itself, it is not admitted.
func TestEarlyDataIsNotAdmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mapStore()
		f := newFixture(t, store, Config{})
		other := f.newEarly(t)
		f.put(t, other)
		synctest.Wait()
		foreign, _ := store.Get(t.Context(), f.keyOf(other))
		take := store.take
		for name, answer := range map[string]func(ctx context.Context, key Key) ([]byte, error){
			"an error":                 func(context.Context, Key) ([]byte, error) { return nil, errors.New("down") },
			"an error after it":        func(ctx context.Context, key Key) ([]byte, error) { take(ctx, key); return nil, errors.New("down") },
			"nothing":                  func(context.Context, Key) ([]byte, error) { return nil, nil },
			"another session's value":  func(context.Context, Key) ([]byte, error) { return foreign, nil },
			"garbage":                  func(context.Context, Key) ([]byte, error) { return []byte("garbage"), nil },
			"nothing within the limit": func(ctx context.Context, key Key) ([]byte, error) { <-ctx.Done(); return take(ctx, key) },
			"a panic":                  func(context.Context, Key) ([]byte, error) { panic("take") },
		} {
			s := f.newEarly(t)
			f.put(t, s)
			synctest.Wait()
			store.take = answer
			begun := time.Now()
			if f.admit(t, s) {
				t.Errorf("admitted after %s", name)
			}
			if took := time.Since(begun); took > DefaultReadLimit {
				t.Errorf("after %s: took %v", name, took)
			}
			store.take = take
		}
		// Removed while it is being taken.
		s := f.newEarly(t)
		f.put(t, s)
		synctest.Wait()
		store.take = func(ctx context.Context, key Key) ([]byte, error) {
			value, err := take(ctx, key)
			f.Callbacks().Remove(ctx, nil, s, halfshake.CauseExplicit)
			return value, err
		}
		if f.admit(t, s) {
			t.Error("admitted though it was removed meanwhile")
		}
	})
}

// A store that does not take is left alone after some failures, and is read all the
// same.
func TestTakesHaveABreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mapStore()
		takes := 0
		store.take = func(context.Context, Key) ([]byte, error) { takes++; return nil, errors.New("read-only") }
		f := newFixture(t, store, Config{})
		s := f.newSession(t)
		f.put(t, s)
		synctest.Wait()
		for range 100 {
			f.admit(t, f.newEarly(t))
		}
		if st := f.Stats(); takes != failuresToOpen || st.Taking || !st.Reading || f.get(t, s) == nil {
			t.Errorf("%d takes; %+v", takes, st)
		}
	})
}
