package external

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halfshake/halfshake"
)

func TestWhatIsPutIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mapStore()
		f := newFixture(t, store, Config{})
		s := f.newSession(t)
		f.put(t, s)
		synctest.Wait()
		got := f.get(t, s)
		want, _ := s.MarshalBinary()
		if have, err := got.MarshalBinary(); err != nil || !bytes.Equal(have, want) {
			t.Fatalf("another session came back: %v", err)
		}
		if got == s {
			t.Error("the very object came back, not one that was sealed and opened")
		}
		if st := f.Stats(); st.Put != 1 || st.Hits != 1 || st.Queued != 0 || st.QueuedBytes != 0 {
			t.Errorf("%+v", st)
		}
		// The next process of the same key, and one of another.
		if next := newFixture(t, store, Config{Keys: f.keys}); next.get(t, s) == nil {
			t.Error("another process with the same key does not find it")
		}
		other := newFixture(t, store, Config{})
		if other.get(t, s) != nil || other.Stats().Foreign != 1 {
			t.Errorf("under another key: found, or not counted: %+v", other.Stats())
		}
	})
}

// What a store is shown has nothing of the session in it; what it answers with is
// held to be the session that was asked for.
func TestStoreSeesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shown bytes.Buffer
		store := &callStore{put: func(_ context.Context, key Key, value []byte, _ time.Time, _ Class) error {
			shown.Write(key[:])
			shown.Write(value)
			return nil
		}}
		f := newFixture(t, store, Config{})
		s := f.newSession(t)
		f.put(t, s)
		synctest.Wait()
		encoding, _ := s.MarshalBinary()
		if shown.Len() == 0 {
			t.Fatal("nothing was put")
		}
		for i := 0; i+8 <= len(encoding); i++ {
			part := encoding[i : i+8]
			if bytes.Count(part, part[:1]) < 8 && bytes.Contains(shown.Bytes(), part) {
				t.Fatalf("the store sees bytes %d to %d of the encoding", i, i+8)
			}
		}
	})
}

// openssl/openssl 4e8593e7eb, and whoever writes to the store: what it answers with
// is another key's value, an old one, changed, or garbage.
func TestLyingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		honest := mapStore()
		f := newFixture(t, honest, Config{})
		s, other := f.newSession(t), f.newSession(t)
		f.put(t, s)
		f.put(t, other)
		synctest.Wait()
		good, _ := honest.Get(t.Context(), f.keyOf(s))
		flipped := bytes.Clone(good)
		flipped[len(flipped)/2] ^= 1
		foreign, _ := honest.Get(t.Context(), f.keyOf(other))
		elsewhere := newFixture(t, mapStore(), Config{})
		otherFleet, _ := sealSession(&elsewhere.keys.keys[0], f.keyOf(s), s)
		inside, _ := sealSession(f.keys.maker(s.ID()), f.keyOf(s), other) // the right box, another's session
		for name, lie := range map[string][]byte{
			"flipped bit": flipped, "another key's value": foreign, "sealed by another fleet": otherFleet,
			"another's session under this key": inside, "truncated": good[:len(good)-1], "longer": append(bytes.Clone(good), 0),
			"garbage": bytes.Repeat([]byte{1}, 300), "one byte": {1}, "huge": make([]byte, 1<<20),
			"another format": append([]byte{2}, good[1:]...),
		} {
			honest.get = func(context.Context, Key) ([]byte, error) { return lie, nil }
			before := f.Stats().Unreadable
			if f.get(t, s) != nil {
				t.Errorf("%s: taken for the session", name)
			}
			if f.Stats().Unreadable != before+1 {
				t.Errorf("%s: not counted", name)
			}
		}
		for name, lie := range map[string][]byte{"empty": {}, "nil": nil} {
			honest.get = func(context.Context, Key) ([]byte, error) { return lie, nil }
			if f.get(t, s) != nil {
				t.Errorf("%s: taken for the session", name)
			}
		}
		honest.get = func(context.Context, Key) ([]byte, error) { return good, nil }
		if f.get(t, s) == nil {
			t.Error("the honest answer is not taken: this test shows nothing")
		}
	})
}

// An id that nobody made costs no read.
func TestReadsThatAreNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		store := &callStore{get: func(context.Context, Key) ([]byte, error) { reads++; return nil, ErrNotFound }}
		f := newFixture(t, store, Config{})
		for i := range 100 {
			id := bytes.Repeat([]byte{byte(i)}, 1+i%32)
			if s, err := f.Callbacks().Get(t.Context(), halfshake.ConnInfo{}, id); s != nil || err != nil {
				t.Fatal(s, err)
			}
		}
		if st := f.Stats(); reads != 0 || st.Foreign != 100 {
			t.Errorf("%d reads for invented ids; %+v", reads, st)
		}
		for range 10 {
			f.get(t, f.newSession(t))
		}
		if st := f.Stats(); reads != 10 || st.NotFound != 10 {
			t.Errorf("%d reads for ids of ours; %+v", reads, st)
		}
	})
}

// No read outlives its limit, whether the store heeds its context or not; the
// number of those that do not return is bounded; Close does not wait for them.
func TestHungReads(t *testing.T) {
	for _, heeds := range []bool{true, false} {
		t.Run(fmt.Sprintf("heeds its context %v", heeds), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				store := &callStore{get: func(ctx context.Context, _ Key) ([]byte, error) {
					done := ctx.Done()
					if !heeds {
						done = nil
					}
					select {
					case <-done:
						return nil, ctx.Err()
					case <-release:
						return nil, ErrNotFound
					}
				}}
				f := newFixture(t, store, Config{MaxReads: 3})
				begun := time.Now()
				for range 5 {
					before := time.Now()
					f.get(t, f.newSession(t))
					if took := time.Since(before); took > DefaultReadLimit {
						t.Errorf("a read took %v", took)
					}
				}
				if total := time.Since(begun); total == 0 {
					t.Error("no time passed: the store did not hang")
				}
				st := f.Stats()
				if st.ReadFailed+st.ReadLimited != 5 || heeds && st.ReadLimited != 0 || !heeds && st.ReadLimited != 2 {
					t.Errorf("%+v", st)
				}
				before := time.Now()
				err := f.Close()
				if took := time.Since(before); took > closeGraceTime || (err == nil) != heeds {
					t.Errorf("Close took %v and returned %v", took, err)
				}
				close(release)
			})
		})
	}
}

// After some failures the store is left alone, tried again after a while, and one
// line a change of state is logged.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads, down := 0, true
		store := &callStore{get: func(context.Context, Key) ([]byte, error) {
			reads++
			if down {
				return nil, errors.New("connection refused")
			}
			return nil, ErrNotFound
		}}
		f := newFixture(t, store, Config{})
		for range 1000 {
			f.get(t, f.newSession(t))
		}
		if reads != failuresToOpen || f.Stats().ReadSkipped != 1000-failuresToOpen || f.Stats().Reading {
			t.Errorf("%d reads; %+v", reads, f.Stats())
		}
		for range 60 { // seconds: after 1, 2, 4, 8 and then 10 of them
			time.Sleep(time.Second)
			f.get(t, f.newSession(t))
			f.get(t, f.newSession(t))
		}
		if tries := reads - failuresToOpen; tries < 6 || tries > 8 {
			t.Errorf("%d tries in a minute, want about 7", tries)
		}
		down = false
		time.Sleep(longestPause)
		for range 10 {
			f.get(t, f.newSession(t))
		}
		if st := f.Stats(); st.NotFound != 10 || !st.Reading {
			t.Errorf("it does not recover: %+v", st)
		}
		want := "WARN session store does not answer; handshakes go on without it read, WARN session store answers again read"
		if got := strings.Join(f.log.messages(), ", "); got != want {
			t.Errorf("the log says: %s", got)
		}
	})
}

// Of many handshakes that come when the pause is over, one tries the store.
func TestOneTriesTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int64
		store := &callStore{get: func(ctx context.Context, _ Key) ([]byte, error) {
			reads.Add(1)
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		f := newFixture(t, store, Config{})
		for range failuresToOpen {
			f.get(t, f.newSession(t))
		}
		time.Sleep(firstPause)
		for range 100 {
			s := f.newSession(t)
			go f.get(t, s)
		}
		synctest.Wait()
		if n := reads.Load(); n != failuresToOpen+1 {
			t.Errorf("%d reads while one tries", n-failuresToOpen)
		}
		time.Sleep(DefaultReadLimit)
	})
}

// A call that was begun before the breaker opened says nothing about the trial.
func TestLateFailureIsNotTheTrials(t *testing.T) {
	b := newBreaker("read", logger{slog.New(slog.DiscardHandler)})
	late, _ := b.allow()
	for range failuresToOpen {
		a, _ := b.allow()
		a.failed(errors.New("down"))
	}
	b.until = time.Now()
	if _, allowed := b.allow(); !allowed {
		t.Fatal("no trial after the pause")
	}
	pause := b.pause
	late.failed(errors.New("late"))
	if late.undecided(); !b.trying || b.pause != pause {
		t.Error("a late outcome ended the trial")
	}
	if _, allowed := b.allow(); allowed {
		t.Error("a second trial was allowed")
	}
	if late.succeeded(); !b.closed() {
		t.Error("a late success is a success")
	}
}

// Reads that Close ends are not the store's fault.
func TestCloseIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &callStore{get: func(ctx context.Context, _ Key) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }}
		f := newFixture(t, store, Config{ReadLimit: time.Hour})
		for range 20 {
			s := f.newSession(t)
			go f.get(t, s)
		}
		synctest.Wait()
		f.Close()
		synctest.Wait()
		if got := f.log.messages(); len(got) != 0 {
			t.Errorf("the log says: %q", got)
		}
	})
}

// A client that goes away, and a handshake whose own time is over, say nothing
// about the store: a slow client must not be able to switch it off.
func TestClientsDoNotOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &callStore{get: func(ctx context.Context, _ Key) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }}
		f := newFixture(t, store, Config{})
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			s, err := f.Callbacks().Get(ctx, halfshake.ConnInfo{}, f.newSession(t).ID())
			cancel()
			if s != nil || err != nil {
				t.Fatal(s, err)
			}
		}
		if !f.Stats().Reading {
			t.Error("the store is held to be down")
		}
	})
}

func TestPanicsInTheDriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &callStore{
			get:    func(context.Context, Key) ([]byte, error) { panic("get") },
			put:    func(context.Context, Key, []byte, time.Time, Class) error { panic("put") },
			delete: func(context.Context, Key) error { panic("delete") },
		}
		f := newFixture(t, store, Config{})
		s := f.newSession(t)
		f.put(t, s)
		synctest.Wait()
		f.get(t, s)
		f.remove(s, halfshake.CauseExplicit)
		synctest.Wait()
		if st := f.Stats(); st.PutFailed != 1 || st.ReadFailed != 1 || st.DeleteFailed != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// Eviction, replacement and Close of one process leave the fleet's sessions
// alone; the other causes do not.
func TestWhichRemovalsReachTheStore(t *testing.T) {
	all := []halfshake.Cause{halfshake.CauseExpired, halfshake.CauseEvicted, halfshake.CauseReplaced, halfshake.CauseUsed, halfshake.CauseUncleanClose,
		halfshake.CauseAlert, halfshake.CauseFaulty, halfshake.CauseRevoked, halfshake.CauseExplicit, halfshake.CauseDeclined, halfshake.CauseClosed}
	stays := map[halfshake.Cause]bool{halfshake.CauseEvicted: true, halfshake.CauseReplaced: true, halfshake.CauseClosed: true}
	for _, cause := range all {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, mapStore(), Config{})
			s := f.newSession(t)
			f.put(t, s)
			synctest.Wait()
			f.remove(s, cause)
			synctest.Wait()
			if found := f.get(t, s) != nil; found != stays[cause] {
				t.Errorf("%v: found afterwards: %v", cause, found)
			}
			next := newFixture(t, f.reads.store, Config{Keys: f.keys})
			if found := next.get(t, s) != nil; found != stays[cause] {
				t.Errorf("%v: found by another process: %v", cause, found)
			}
		})
	}
}

// A removal counts from the moment it was asked for, however the store fares, and
// also for a read that was under way.
func TestRemovedMeansRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mapStore()
		f := newFixture(t, store, Config{})
		s := f.newSession(t)
		f.put(t, s)
		synctest.Wait()
		store.delete = func(context.Context, Key) error { return errors.New("read-only") }
		honest := store.get
		reads := 0
		store.get = func(ctx context.Context, key Key) ([]byte, error) {
			reads++
			f.remove(s, halfshake.CauseExplicit)
			return honest(ctx, key)
		}
		for i := range 3 {
			if f.get(t, s) != nil {
				t.Errorf("look-up %d after the removal finds it", i)
			}
			synctest.Wait()
		}
		if f.Stats().Removed != 3 || reads != 1 {
			t.Errorf("%d reads; %+v", reads, f.Stats())
		}
	})
}

func TestSetKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mapStore()
		f := newFixture(t, store, Config{})
		old := f.newSession(t)
		f.put(t, old)
		synctest.Wait()
		rotated, err := f.keys.Rotate(time.Now(), time.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		recordKeys(rotated)
		if err := f.SetKeys(rotated); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if f.get(t, old) == nil {
			t.Error("a session of the old key is not found after the rotation")
		}
		time.Sleep(time.Minute)
		if id, _ := f.Callbacks().NewID(halfshake.ConnInfo{}); !rotated.keys[1].made(id) {
			t.Error("a new id is not of the new key")
		}
		if err := f.SetKeys(testKeys(time.Now())); err != nil {
			t.Fatal(err)
		}
		if f.get(t, old) != nil || f.Stats().Foreign != 1 {
			t.Error("a session of a dropped key is found")
		}
		if !rotated.Made(old.ID()) || f.External.keys.Load().Made(old.ID()) {
			t.Error("Made does not tell whose an id is")
		}
		if f.SetKeys(nil) == nil || f.SetKeys(&KeyRing{}) == nil {
			t.Error("SetKeys takes a ring without a key")
		}
	})
}

func TestBadConfig(t *testing.T) {
	keys := testKeys(noon)
	for says, cfg := range map[string]Config{
		"Keys is missing":        {},
		"Keys is missing; read":  {Keys: &KeyRing{}},
		"ReadLimit is -1s":       {Keys: keys, ReadLimit: -time.Second},
		"MaxReads is -1":         {Keys: keys, MaxReads: -1},
		"QueueSize is -1":        {Keys: keys, QueueSize: -1},
		"WriteThrough is -1ns":   {Keys: keys, WriteThrough: -1},
		"Store is nil; open one": {Keys: keys},
	} {
		var store Store = mapStore()
		if strings.HasPrefix(says, "Store") {
			store = nil
		}
		if e, err := New(store, cfg); e != nil || err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want an error that says %q", err, says)
		}
	}
}

// An id that another NewID made is not put, nor looked for.
func TestForeignIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h history
		store := &callStore{
			put:    func(context.Context, Key, []byte, time.Time, Class) error { h.add("put"); return nil },
			get:    func(context.Context, Key) ([]byte, error) { h.add("get"); return nil, ErrNotFound },
			delete: func(context.Context, Key) error { h.add("delete"); return nil },
		}
		f := newFixture(t, store, Config{})
		s := draft{id: bytes.Repeat([]byte("id"), 16), created: time.Now(), expires: time.Now().Add(time.Minute)}.session(t)
		f.put(t, s)
		f.get(t, s)
		f.remove(s, halfshake.CauseExplicit)
		synctest.Wait()
		if h.String() != "" || f.Stats().Foreign != 2 {
			t.Errorf("the store was asked to %v; %+v", &h, f.Stats())
		}
	})
}

// Without a Logger, what an operator must know goes to the default of the moment.
func TestDefaultLogger(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	var lines logLines
	e, err := New(&callStore{}, Config{Keys: testKeys(time.Now())})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	slog.SetDefault(slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug})))
	for range failuresToOpen {
		a, _ := e.reads.gets.allow()
		a.failed(errors.New("down"))
	}
	e.reads.gets.log.log(slog.LevelInfo, "of no concern")
	lines.mu.Lock()
	defer lines.mu.Unlock()
	if text := lines.buf.String(); !strings.Contains(text, "does not answer") || strings.Contains(text, "concern") {
		t.Errorf("the log says: %s", text)
	}
}

func TestExternalIsNotPrinted(t *testing.T) {
	f := newFixture(t, mapStore(), Config{})
	if got := fmt.Sprintf("%v %+v %s", f.External, f.External, f.External); got != strings.TrimSpace(strings.Repeat("external.External ", 3)) {
		t.Error(got)
	}
}
