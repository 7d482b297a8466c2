package memstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake/external"
	"github.com/halfshake/halfshake/external/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t testing.TB) external.Store {
		s := New(Config{})
		t.Cleanup(func() { s.check(t) })
		return s
	})
}

func TestBounded(t *testing.T) {
	storetest.RunBounded(t, 500, func(t testing.TB) external.Store {
		s := New(Config{MaxEntries: 500})
		t.Cleanup(func() { s.check(t) })
		return s
	})
}

func TestLog(t *testing.T) {
	storetest.RunLog(t, func(testing.TB) external.RevocationLog { return New(Config{}) })
}

// check holds the store's invariants: the map and the two heaps have the same
// entries, each in its place, and no more than the bounds allow.
func (s *Store) check(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.entries) != len(s.unproved)+len(s.proved) || len(s.entries) > s.maxEntries || len(s.proved) > s.maxProved {
		t.Errorf("%d entries in the map, at most %d; %d unproved; %d proved, at most %d",
			len(s.entries), s.maxEntries, len(s.unproved), len(s.proved), s.maxProved)
	}
	for _, part := range []*byExpiry{&s.unproved, &s.proved} {
		for i, e := range *part {
			if s.entries[e.key] != e || e.part != part || e.place != i {
				t.Errorf("entry %v is in place %d of the heap, and says %d", e.key, i, e.place)
			}
			if parent := (i - 1) / 2; part.Less(i, parent) {
				t.Errorf("entry %d expires before its parent %d", i, parent)
			}
		}
	}
}

type clock struct{ now time.Time }

func newStore(t *testing.T, maxEntries int) (*Store, *clock) {
	c := &clock{time.Unix(1_700_000_000, 0)}
	s := New(Config{MaxEntries: maxEntries, Now: func() time.Time { return c.now }})
	t.Cleanup(func() { s.check(t) })
	return s, c
}

func keyOf(n int) (key external.Key) {
	binary.BigEndian.PutUint64(key[:], uint64(n))
	return key
}

func put(t *testing.T, s *Store, n int, expires time.Time) {
	t.Helper()
	putAs(t, s, n, expires, external.ClassUnproved)
}

func putAs(t *testing.T, s *Store, n int, expires time.Time, class external.Class) {
	t.Helper()
	if err := s.Put(t.Context(), keyOf(n), []byte{byte(n)}, expires, class); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, s *Store, n int, there bool) {
	t.Helper()
	value, err := s.Get(t.Context(), keyOf(n))
	if there && (err != nil || !bytes.Equal(value, []byte{byte(n)})) || !there && !errors.Is(err, external.ErrNotFound) {
		t.Errorf("entry %d: %x, %v", n, value, err)
	}
}

func TestExpiresAfterTheInstant(t *testing.T) {
	s, clock := newStore(t, 0)
	expires := clock.now.Add(time.Second)
	put(t, s, 1, expires)
	clock.now = expires
	want(t, s, 1, true)
	clock.now = expires.Add(1)
	want(t, s, 1, false)
	if _, err := s.Take(t.Context(), keyOf(1)); !errors.Is(err, external.ErrNotFound) {
		t.Error(err)
	}
}

func TestExpiredGiveRoomBack(t *testing.T) {
	s, clock := newStore(t, 0)
	for n := range 100 {
		put(t, s, n, clock.now.Add(time.Duration(n)*time.Second))
	}
	clock.now = clock.now.Add(49500 * time.Millisecond)
	put(t, s, 100, clock.now.Add(time.Hour))
	if s.Len() != 51 {
		t.Errorf("%d entries take up room, want 51", s.Len())
	}
}

func TestFullLosesTheFirstToExpire(t *testing.T) {
	s, clock := newStore(t, 3)
	for n, seconds := range []int{30, 10, 20} {
		put(t, s, n, clock.now.Add(time.Duration(seconds)*time.Second))
	}
	put(t, s, 0, clock.now.Add(5*time.Second)) // in its own place, and now the first
	for n := range 3 {
		want(t, s, n, true)
	}
	put(t, s, 3, clock.now.Add(time.Second)) // though it expires before all others
	want(t, s, 0, false)
	for _, n := range []int{1, 2, 3} {
		want(t, s, n, true)
	}
}

// Entries 0 to 7 are proved and expire first; a flood of unproved ones evicts none.
func TestFloodEvictsNoProved(t *testing.T) {
	s, clock := newStore(t, 10)
	for n := range 8 {
		putAs(t, s, n, clock.now.Add(time.Minute), external.ClassProved)
	}
	for n := 100; n < 200; n++ {
		put(t, s, n, clock.now.Add(time.Hour))
	}
	for n := range 8 {
		want(t, s, n, true)
	}
	if s.Len() != 10 {
		t.Errorf("%d entries, want 10", s.Len())
	}
}

// A proved entry beyond the share makes the one nearest to its expiry unproved.
func TestProvedShare(t *testing.T) {
	s, clock := newStore(t, 10)
	for n := range 9 {
		putAs(t, s, n, clock.now.Add(time.Duration(60-n)*time.Second), external.ClassProved)
	}
	put(t, s, 100, clock.now.Add(time.Hour))
	put(t, s, 101, clock.now.Add(time.Hour)) // evicts 7, the first that was sent back
	for n := range 9 {
		want(t, s, n, n != 7)
	}
}

// A Put decides the class of its entry anew.
func TestReplacedClass(t *testing.T) {
	s, clock := newStore(t, 5)
	putAs(t, s, 0, clock.now.Add(time.Minute), external.ClassProved)
	put(t, s, 1, clock.now.Add(time.Minute))
	put(t, s, 0, clock.now.Add(time.Minute))
	putAs(t, s, 1, clock.now.Add(time.Minute), external.ClassProved)
	for n := 100; n < 104; n++ {
		put(t, s, n, clock.now.Add(time.Hour))
	}
	want(t, s, 0, false)
	want(t, s, 1, true)
}

// A store for one entry has no room for proved ones, and still takes them.
func TestSmallestStore(t *testing.T) {
	s, clock := newStore(t, 1)
	for n := range 3 {
		putAs(t, s, n, clock.now.Add(time.Hour), external.ClassProved)
		want(t, s, n, true)
	}
}

func TestExpiredPutRemovesWhatIsThere(t *testing.T) {
	s, clock := newStore(t, 0)
	put(t, s, 1, clock.now.Add(time.Hour))
	put(t, s, 1, clock.now.Add(-time.Hour))
	want(t, s, 1, false)
	if s.Len() != 0 {
		t.Errorf("%d entries take up room", s.Len())
	}
}

func TestDefaultBound(t *testing.T) {
	s, clock := newStore(t, 0)
	for n := range DefaultMaxEntries + 10 {
		put(t, s, n, clock.now.Add(time.Hour))
	}
	if s.Len() != DefaultMaxEntries {
		t.Errorf("%d entries", s.Len())
	}
}

func TestSizesAreBounded(t *testing.T) {
	s, clock := newStore(t, 0)
	for _, size := range []int{0, external.MaxValueSize + 1} {
		if err := s.Put(t.Context(), keyOf(1), make([]byte, size), clock.now.Add(time.Hour), external.ClassUnproved); err == nil {
			t.Errorf("a value of %d bytes was put", size)
		}
	}
	for _, size := range []int{0, external.MaxLogSize + 1} {
		if err := s.CompareAndSwap(t.Context(), nil, make([]byte, size)); err == nil {
			t.Errorf("a log of %d bytes was put", size)
		}
	}
	want(t, s, 1, false)
}

// Whatever is done in whatever order, the invariants hold after each.
func TestInvariants(t *testing.T) {
	s, clock := newStore(t, 20)
	random := rand.New(rand.NewPCG(1, 0))
	for range 5000 {
		n := random.IntN(40)
		switch random.IntN(5) {
		case 0, 1:
			putAs(t, s, n, clock.now.Add(time.Duration(random.IntN(60)-5)*time.Second), external.Class(random.IntN(2)))
		case 2:
			s.Take(t.Context(), keyOf(n))
		case 3:
			s.Delete(t.Context(), keyOf(n))
		case 4:
			clock.now = clock.now.Add(time.Duration(random.IntN(3000)) * time.Millisecond)
		}
		s.check(t)
	}
}

func TestPrintsNoSecrets(t *testing.T) {
	s, clock := newStore(t, 0)
	if err := s.Put(context.Background(), external.Key([]byte(strings.Repeat("k", 32))), []byte("vvvvvvvvvvvv"), clock.now.Add(time.Hour), external.ClassUnproved); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		if got := fmt.Sprintf(verb, s); got != "memstore.Store" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("store", "text", s)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("store", "json", s)
	if strings.Contains(log.String(), "kkk") || strings.Contains(log.String(), "vvv") {
		t.Error("slog prints what is stored")
	}
}
