package external

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halfshake/halfshake"
)

// What End was told holds at once, for the sessions that it names and no others, and
// in the next process.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mapStore()
		f := newFixture(t, store, Config{})
		made := func(scope byte, lineage halfshake.Lineage) *halfshake.Session {
			d := f.draft(t)
			d.scope, d.lineage = halfshake.ScopeID{scope}, lineage
			s := d.session(t)
			f.put(t, s)
			synctest.Wait()
			return s
		}
		lineage := lineageAt(time.Now())
		parent, child, cousin := made(1, lineage), made(1, lineage), made(1, lineageAt(time.Now()))
		flushed, otherScope := made(2, lineageAt(time.Now())), made(3, lineageAt(time.Now()))
		f.endNow(t, halfshake.Removal{Lineage: lineage, Until: time.Now().Add(time.Minute)})
		f.endNow(t, halfshake.Removal{Scope: halfshake.ScopeID{2}, Before: time.Now(), Until: time.Now().Add(time.Minute)})
		time.Sleep(time.Millisecond)
		later := made(2, lineageAt(time.Now()))
		check := func(f *fixture, which string) {
			t.Helper()
			for name, s := range map[string]*halfshake.Session{"parent": parent, "child": child, "flushed": flushed} {
				if f.get(t, s) != nil || f.admit(t, s) {
					t.Errorf("%s: %s is found or admitted", which, name)
				}
			}
			for name, s := range map[string]*halfshake.Session{"another lineage": cousin, "another scope": otherScope, "a later lineage": later} {
				if f.get(t, s) == nil || !f.admit(t, s) {
					t.Errorf("%s: %s is not found or not admitted", which, name)
				}
			}
			if st := f.Stats(); st.RemovalsPending != 0 || st.EndedLineages != 1 || st.Floors != 1 || !st.Recording {
				t.Errorf("%s: %+v", which, st)
			}
		}
		check(f, "this process")
		check(newFixture(t, store, Config{Keys: f.keys}), "the next")
		if s := made(1, lineage); f.get(t, s) != nil || f.Stats().Put != 6 {
			t.Error("a session of the ended lineage was put")
		}
		// A session that the log names is still deleted, without anybody waiting for it.
		f.remove(parent, halfshake.CauseExplicit)
		if st := f.Stats(); st.RemovalsPending != 0 {
			t.Errorf("%+v", st)
		}
		synctest.Wait()
		if f.Stats().Deleted != 1 {
			t.Errorf("%+v", f.Stats())
		}
		// The record of a removal is dropped when its sessions have expired.
		time.Sleep(time.Minute + recordSlack + time.Second)
		f.endNow(t, halfshake.Removal{Lineage: lineageAt(time.Now()), Until: time.Now().Add(time.Minute)})
		if st := f.Stats(); st.EndedLineages != 1 || st.Floors != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// End returns nil when the log has the removal and not before. Calls that come while
// one is written are written together.
func TestEndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var swaps atomic.Int64
		store := mapStore()
		keep := &callStore{}
		store.load = keep.Load
		store.swap = func(ctx context.Context, old, next []byte) error {
			swaps.Add(1)
			time.Sleep(100 * time.Millisecond)
			return keep.CompareAndSwap(ctx, old, next)
		}
		f := newFixture(t, store, Config{})
		var callers sync.WaitGroup
		begun := time.Now()
		f.endNow(t, halfshake.Removal{Lineage: lineageAt(begun)})
		if took := time.Since(begun); took != 100*time.Millisecond {
			t.Errorf("one End took %v", took)
		}
		begun = time.Now()
		for range 1000 {
			callers.Go(func() { f.endNow(t, halfshake.Removal{Lineage: lineageAt(begun)}) })
		}
		callers.Wait()
		if took := time.Since(begun); took > 200*time.Millisecond || swaps.Load() > 3 {
			t.Errorf("1000 calls of End took %v and %d swaps", took, swaps.Load()-1)
		}
		if next := newFixture(t, store, Config{Keys: f.keys}); next.Stats().EndedLineages != 1001 {
			t.Errorf("%+v", next.Stats())
		}
		s := f.newSession(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		err := f.Callbacks().End(ctx, halfshake.Removal{Lineage: s.Lineage()})
		if !errors.Is(err, ErrNotRecorded) || !errors.Is(err, context.DeadlineExceeded) || f.admit(t, s) || f.Stats().RemovalsPending != 1 {
			t.Errorf("with a deadline: %v; %+v", err, f.Stats())
		}
		time.Sleep(time.Second)
		if f.Stats().RemovalsPending != 0 {
			t.Errorf("%+v", f.Stats())
		}
	})
}

// A log that another machine has changed is read again, and what both have ended stays
// ended. A write that failed may have happened all the same.
func TestLogIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mapStore()
		one := newFixture(t, store, Config{})
		two := newFixture(t, store, Config{Keys: one.keys})
		keep := &callStore{}
		store.load = keep.Load
		var swaps atomic.Int64
		store.swap = func(ctx context.Context, old, next []byte) error {
			err := keep.CompareAndSwap(ctx, old, next)
			if swaps.Add(1)%3 == 0 && err == nil {
				return errors.New("failed, but happened")
			}
			return err
		}
		var sessions []*halfshake.Session
		for i := range 20 {
			f := []*fixture{one, two}[i%2]
			s := f.newSession(t)
			sessions = append(sessions, s)
			if err := f.Callbacks().End(t.Context(), halfshake.Removal{Lineage: s.Lineage()}); err != nil && !errors.Is(err, ErrNotRecorded) {
				t.Error(err)
			}
			time.Sleep(2 * time.Second)
		}
		next := newFixture(t, store, Config{Keys: one.keys})
		for i, s := range sessions {
			if next.admit(t, s) {
				t.Errorf("removal %d was lost", i)
			}
		}
		if one.Stats().RemovalsPending+two.Stats().RemovalsPending != 0 {
			t.Errorf("%+v %+v", one.Stats(), two.Stats())
		}
	})
}

// While the log has not been read, nothing is known of the sessions in the store, and
// none resumes. What this process makes meanwhile is admitted.
func TestLogCannotBeLoaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mapStore()
		first := newFixture(t, store, Config{})
		sessions := first.putMany(t, 2)
		first.endNow(t, halfshake.Removal{Lineage: sessions[0].Lineage()})
		first.Close()
		keep := &callStore{log: store.log}
		var answer atomic.Value // a func, which the External's goroutine calls
		store.load = func(ctx context.Context) ([]byte, error) {
			return answer.Load().(func(context.Context) ([]byte, error))(ctx)
		}
		for name, load := range map[string]func(context.Context) ([]byte, error){
			"fails":    func(context.Context) ([]byte, error) { return nil, errors.New("down") },
			"is empty": func(context.Context) ([]byte, error) { return []byte{}, nil },
			"hangs":    func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() },
			"panics":   func(context.Context) ([]byte, error) { panic("load") },
		} {
			answer.Store(load)
			begun := time.Now()
			f := newFixture(t, store, Config{Keys: first.keys})
			if took := time.Since(begun); took > loadLimit {
				t.Errorf("%s: New took %v", name, took)
			}
			if f.found(t, sessions) != 0 || f.admit(t, sessions[1]) || f.Stats().Recording {
				t.Errorf("%s: a session resumes that may have been removed; %+v", name, f.Stats())
			}
			time.Sleep(time.Millisecond)
			later := f.newSession(t)
			if f.put(t, later); f.get(t, later) != nil || !f.admit(t, later) {
				t.Errorf("%s: a session of this process is found, or is not admitted", name)
			}
			answer.Store(keep.Load)
			time.Sleep(writeLimit + longestPause)
			if f.get(t, sessions[0]) != nil || f.get(t, sessions[1]) == nil || !f.Stats().Recording {
				t.Errorf("%s: when the store answers again: %+v", name, f.Stats())
			}
			want := "WARN session store does not answer; its revocation log is neither read nor written log, WARN session store answers again log"
			if name != "hangs" && strings.Join(f.log.messages(), ", ") != want {
				t.Errorf("%s: the log says: %q", name, f.log.messages())
			}
			f.Close()
		}
	})
}

// A log that opens under no key may have named any session: it is replaced by a floor
// at the present. One that a faulty store made up is not taken for the log.
func TestLogDoesNotOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mapStore()
		first := newFixture(t, store, Config{})
		s := first.putMany(t, 1)[0]
		first.endNow(t, halfshake.Removal{Lineage: lineageAt(time.Now())})
		good := store.log
		store.log = bytes.Repeat([]byte{1}, 5000)
		time.Sleep(time.Second)
		f := newFixture(t, store, Config{Keys: first.keys})
		if f.get(t, s) != nil || f.Stats().Floors != 1 || len(f.log.messages()) != 1 {
			t.Errorf("%+v; the log says %q", f.Stats(), f.log.messages())
		}
		time.Sleep(time.Millisecond)
		if later := f.putMany(t, 1)[0]; f.get(t, later) == nil {
			t.Error("a later session is not found")
		}
		if next := newFixture(t, store, Config{Keys: first.keys}); next.get(t, s) != nil || next.Stats().Floors != 1 || len(next.log.messages()) != 0 {
			t.Errorf("after a restart: %+v", next.Stats())
		}

		store.log = good
		lies := 3
		store.load = func(context.Context) ([]byte, error) {
			if lies--; lies >= 0 {
				return []byte("garbage"), nil
			}
			return bytes.Clone(store.log), nil
		}
		f = newFixture(t, store, Config{Keys: first.keys})
		synctest.Wait()
		if f.get(t, s) == nil || f.Stats().Floors != 0 {
			t.Errorf("a lie was taken for the log: %+v", f.Stats())
		}
	})
}

// A rotation seals the log anew, so that it opens when the old key is gone.
func TestLogIsSealedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mapStore()
		f := newFixture(t, store, Config{})
		ended := f.newSession(t)
		f.endNow(t, halfshake.Removal{Lineage: ended.Lineage()})
		rotated, err := f.keys.Rotate(time.Now(), time.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		recordKeys(rotated)
		if err := f.SetKeys(rotated); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if _, under, _ := rotated.openLog(store.log); under != &rotated.keys[0] {
			t.Error("sealed under a key that is not active")
		}
		time.Sleep(time.Minute)
		if err := f.SetKeys(rotated); err != nil { // a reload
			t.Error(err)
		}
		synctest.Wait()
		if _, under, _ := rotated.openLog(store.log); under != &rotated.keys[1] {
			t.Error("not sealed under the key that is active now")
		}
		d := f.draft(t)
		d.lineage = ended.Lineage()
		next := newFixture(t, store, Config{Keys: &KeyRing{keys: rotated.keys[1:]}})
		if next.admit(t, d.session(t)) {
			t.Error("the removal was lost with the old key")
		}
	})
}

// A key that is taken out of force ends the lineages that may have passed through its
// sessions, in this process and the next. A rotation ends none that is younger than the
// key it leaves out.
func TestSetKeysEndsLineages(t *testing.T) {
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(days int) time.Time { return start.Add(time.Duration(days) * 24 * time.Hour) }
	all := KeyRing{keys: []fleetKey{randomKey(at(0)), randomKey(at(2)), randomKey(at(4)), randomKey(at(9))}}
	recordKeys(&all)
	ring := func(numbers ...int) *KeyRing {
		r := &KeyRing{}
		for _, n := range numbers {
			r.keys = append(r.keys, all.keys[n])
		}
		return r
	}
	for name, c := range map[string]struct {
		next  *KeyRing
		ended []int // of the lineages that began on days 1, 3 and 5
	}{
		"the oldest left out":        {ring(1, 2, 3), []int{1}},
		"the second left out":        {ring(0, 2, 3), []int{1, 3}},
		"the current left out":       {ring(0, 1, 3), []int{1, 3, 5}},
		"all replaced":               {ring(3), []int{1, 3, 5}},
		"one not yet active":         {ring(0, 1, 2), nil},
		"the same again":             {ring(0, 1, 2, 3), nil},
		"the two oldest left out":    {ring(2, 3), []int{1, 3}},
		"a key added in their place": {&KeyRing{keys: append(ring(2, 3).keys, randomKey(at(20)))}, []int{1, 3}},
	} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(at(6)))
			store := mapStore()
			f := newFixture(t, store, Config{Keys: ring(0, 1, 2, 3)})
			if err := f.SetKeys(c.next); err != nil {
				t.Error(err)
			}
			check := func(f *fixture, which string) {
				for _, day := range []int{1, 3, 5} {
					d := f.draft(t) // a child, made under a key that is in force
					d.lineage = lineageAt(at(day))
					want := true
					for _, ended := range c.ended {
						want = want && ended != day
					}
					if f.admit(t, d.session(t)) != want {
						t.Errorf("%s, %s: the lineage that began on day %d goes on: %v", name, which, day, !want)
					}
				}
			}
			check(f, "this process")
			check(newFixture(t, store, Config{Keys: c.next}), "the next")
		})
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, &callStore{swap: func(context.Context, []byte, []byte) error { return errors.New("down") }}, Config{})
		next := testKeys(time.Now())
		err := f.SetKeys(next)
		if id, _ := f.Callbacks().NewID(halfshake.ConnInfo{}); !errors.Is(err, ErrNotRecorded) || !next.Made(id) {
			t.Error("the new keys are not in force, or the error does not say what is not recorded: ", err)
		}
	})
}

// A record keeps to its bounds: floors take the place of what began first.
func TestRecordIsBounded(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	r := newRecord()
	for i := range maxLineages + 1 {
		r.add(halfshake.Removal{Lineage: lineageAt(now.Add(time.Duration(i) * time.Millisecond))}, now)
	}
	for i := range maxScopes + 1 {
		r.add(halfshake.Removal{Scope: halfshake.ScopeID{1, byte(i >> 8), byte(i)}, Before: now.Add(-time.Hour + time.Duration(i)*time.Millisecond)}, now)
	}
	r.trim(now)
	first, last := now.Add(maxLineages/8*time.Millisecond), now.Add((maxLineages/8+1)*time.Millisecond)
	if !r.every.ends(first.UnixMilli()) || r.every.ends(last.UnixMilli()) || len(r.lineages) != maxLineages*7/8 || len(r.scopes) != maxScopes*7/8 {
		t.Errorf("floor %v, %d lineages, %d scopes", r.every, len(r.lineages), len(r.scopes))
	}
	for i := range maxLineages / 8 {
		r.add(halfshake.Removal{Lineage: lineageAt(now.Add(time.Hour + time.Duration(i)))}, now)
	}
	for i := range maxScopes / 8 {
		r.add(halfshake.Removal{Scope: halfshake.ScopeID{2, byte(i >> 8), byte(i)}, Before: now}, now)
	}
	k := testKey(t)
	value := k.sealLog(&r)
	if len(r.lineages) != maxLineages || len(r.scopes) != maxScopes || len(value) > MaxLogSize {
		t.Errorf("the largest log has %d bytes, %d lineages, %d scopes", len(value), len(r.lineages), len(r.scopes))
	}
	if back, _, err := (&KeyRing{keys: []fleetKey{*k}}).openLog(value); err != nil || fmt.Sprint(back) != fmt.Sprint(r) {
		t.Errorf("it does not come back: %v", err)
	}
	if r.trim(now.Add(halfshake.MaxTimeout + recordSlack)); r.every == (floor{}) || len(r.lineages) != maxLineages || len(r.scopes) != maxScopes {
		t.Error("the record dropped what other clocks need")
	}
	r.trim(now.Add(halfshake.MaxTimeout + recordSlack + time.Second))
	if r.every != (floor{}) || len(r.lineages)+len(r.scopes) != 0 {
		t.Error("the record holds what has expired")
	}
}

// What the log's padding holds is a record, and encodes to the same bytes.
func FuzzRecord(f *testing.F) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	r := newRecord()
	pad := func() []byte {
		encoded := r.encode()
		return append(encoded, make([]byte, paddedSize(len(encoded), minPaddedLog, maxPaddedLog)-len(encoded))...)
	}
	f.Add(pad())
	r.add(halfshake.Removal{Lineage: halfshake.Lineage{1, 2, 3}}, now)
	r.add(halfshake.Removal{Lineage: halfshake.Lineage{1, 2, 4}}, now)
	r.add(halfshake.Removal{Scope: halfshake.ScopeID{1}, Before: now}, now)
	f.Add(pad())
	r.raiseEvery(now.UnixMilli(), now)
	f.Add(pad())
	f.Add(pad()[1:])
	f.Fuzz(func(t *testing.T, padded []byte) {
		r, err := unpadRecord(padded)
		if err != nil {
			return
		}
		encoded := r.encode()
		again := append(encoded, make([]byte, paddedSize(len(encoded), minPaddedLog, maxPaddedLog)-len(encoded))...)
		if !bytes.Equal(again, padded) {
			t.Fatal("it encodes to other bytes")
		}
	})
}
