package boltstore

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/halfshake/halfshake/external"
)

// handClock is a clock that the test moves.
type handClock struct{ ns atomic.Int64 }

func newHandClock() *handClock {
	c := &handClock{}
	c.ns.Store(time.Now().UnixNano())
	return c
}

func (c *handClock) now() time.Time               { return time.Unix(0, c.ns.Load()) }
func (c *handClock) in(d time.Duration) time.Time { return c.now().Add(d) }
func (c *handClock) pass(d time.Duration)         { c.ns.Add(int64(d)) }

func TestFileStaysUnderTheBound(t *testing.T) {
	for name, sizes := range map[string][]int{
		"small":  {200, 600},
		"chains": {1500, 3500},
		"large":  {18000, 20480},
		"mixed":  {10, 20480},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testBound(t, sizes[0], sizes[1])
		})
	}
}

// testBound puts twice as many entries as fit, in the order of their expiry, and takes
// some of them in between.
func testBound(t *testing.T, least, most int) {
	r := newRigIn(t, quickDir(t), Config{MaxBytes: minMaxBytes})
	random := rand.New(rand.NewPCG(1, uint64(most)))
	n, bytes := 0, 0
	start := in(time.Hour)
	sizes := make(map[int]int)
	for ; bytes < 2*minMaxBytes; n++ {
		size := least + random.IntN(most-least+1)
		bytes += size
		sizes[n] = size
		if err := r.Put(t.Context(), key(n), value(size), start.Add(time.Duration(n)*time.Millisecond), external.ClassUnproved); err != nil {
			t.Fatal(err)
		}
		if random.IntN(100) == 0 {
			k := random.IntN(n + 1)
			if _, err := r.Take(t.Context(), key(k)); err == nil {
				delete(sizes, k)
			}
		}
		if size := r.fileSize(); size > minMaxBytes {
			t.Fatalf("the file has %d bytes after %d entries, limit %d", size, n, minMaxBytes)
		}
	}
	r.flush(t)
	if size := r.fileSize(); size > minMaxBytes {
		t.Fatalf("the file has %d bytes, limit %d", size, minMaxBytes)
	}
	// The entries left are the newest, without a gap, and not too few.
	kept, gone := 0, 0
	for k := n - 1; k >= 0; k-- {
		size, put := sizes[k]
		if !put {
			continue
		}
		if _, err := r.Get(t.Context(), key(k)); err != nil {
			gone++
		} else if kept += size; gone > 0 {
			t.Fatalf("entry %d is left, but one that expires later is not", k)
		}
	}
	if kept < minMaxBytes/3 {
		t.Errorf("%d bytes of values are left in a file of %d", kept, minMaxBytes)
	}
	t.Logf("%d entries, %d KiB left of %d KiB put, the file %d KiB", n, kept>>10, bytes>>10, r.fileSize()>>10)
}

// TestBoundIsKeptWhereLifetimesAreRandom writes batches that touch every page of the file,
// the worst case. Fewer entries fit then.
func TestBoundIsKeptWhereLifetimesAreRandom(t *testing.T) {
	t.Parallel()
	const entries, size = 10_000, 600
	r := newRigIn(t, quickDir(t), Config{MaxBytes: minMaxBytes})
	random := rand.New(rand.NewPCG(1, 2))
	for n := range entries {
		if err := r.Put(t.Context(), key(n), value(size), in(time.Hour+time.Duration(random.IntN(3600))*time.Second), external.ClassUnproved); err != nil {
			t.Fatal(err)
		}
	}
	r.flush(t)
	if size := r.fileSize(); size > minMaxBytes {
		t.Errorf("the file has %d bytes, limit %d", size, minMaxBytes)
	}
	if kept := len(r.index.slots) * size; kept < minMaxBytes/10 {
		t.Errorf("%d bytes are left", kept)
	}
	if r.log.Len() > 0 {
		t.Error(&r.log)
	}
}

// TestOneSecond has all sessions expire in the same second, as after a burst. They fill as
// much of the file as other sessions, also after a restart.
func TestOneSecond(t *testing.T) {
	t.Parallel()
	const entries, size = 20_000, 1000
	r := newRigIn(t, quickDir(t), Config{MaxBytes: minMaxBytes})
	expires := in(time.Hour).Truncate(time.Second)
	for n := range entries {
		r.putAs(n, value(size), expires, external.ClassUnproved)
		if n == entries*3/4 {
			r.reopen(Config{MaxBytes: minMaxBytes})
		}
	}
	r.flush(t)
	if kept := len(r.index.slots) * size; kept < minMaxBytes*3/5 {
		t.Errorf("%d KiB of values are left in a file of %d", kept>>10, minMaxBytes>>10)
	}
	for n := entries - entries/5; n < entries; n++ {
		if _, ok := r.index.slots[key(n)]; !ok {
			t.Errorf("entry %d of %d was evicted out of order", n, entries)
		}
	}
}

func TestExpiredEntriesGiveTheirSpaceBack(t *testing.T) {
	t.Parallel()
	clock := newHandClock()
	r := newRigIn(t, quickDir(t), Config{})
	r.clock = clock.now
	r.reopen(Config{})
	const generations, entries, size = 20, 2000, 500
	for g := range generations {
		for n := range entries {
			if err := r.Put(t.Context(), key(g*entries+n), value(size), clock.in(time.Hour), external.ClassUnproved); err != nil {
				t.Fatal(err)
			}
		}
		r.flush(t)
		clock.pass(30 * time.Minute)
	}
	if got, most := r.fileSize(), int64(6*entries*size); got > most {
		t.Errorf("the file has %d bytes for %d bytes of live values", got, 2*entries*size)
	}
	if n := len(r.index.slots); n > 3*entries {
		t.Errorf("the index has %d entries, of which %d are live", n, 2*entries)
	}
	clock.pass(time.Hour)
	r.put(key(-1), value(10))
	for range 3 {
		r.flush(t)
	}
	if n := len(r.index.slots); n > 1 {
		t.Errorf("the index has %d entries, all of them expired", n)
	}
}

// TestExpiryNeedsNoPut checks that an idle store deletes expired entries too.
func TestExpiryNeedsNoPut(t *testing.T) {
	t.Parallel()
	r := newRigIn(t, quickDir(t), Config{})
	if err := r.Put(t.Context(), key(1), value(10), in(time.Second), external.ClassUnproved); err != nil {
		t.Fatal(err)
	}
	r.reopen(Config{})
	for deadline := in(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		r.mu.Lock()
		n := len(r.index.slots)
		r.mu.Unlock()
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the entry is still in the file 9 s after it expired")
		}
	}
}

// TestLowerBound opens a file with a lower limit than its size.
func TestLowerBound(t *testing.T) {
	t.Parallel()
	r := newRigIn(t, quickDir(t), Config{})
	const entries, size = 20_000, 1000
	for n := range entries {
		if err := r.Put(t.Context(), key(n), value(size), in(time.Hour+time.Duration(n)*time.Second), external.ClassUnproved); err != nil {
			t.Fatal(err)
		}
	}
	r.reopen(Config{MaxBytes: minMaxBytes})
	before := r.fileSize()
	for n := entries; n < 2*entries; n++ {
		if err := r.Put(t.Context(), key(n), value(size), in(time.Hour+time.Duration(n)*time.Second), external.ClassUnproved); err != nil {
			t.Fatal(err)
		}
	}
	r.flush(t)
	if got := r.fileSize(); got > before+minMaxBytes/32 {
		t.Errorf("the file has grown from %d to %d bytes, limit %d", before, got, minMaxBytes)
	}
	if n := len(r.index.slots); n*size > minMaxBytes || n*size < minMaxBytes/2 {
		t.Errorf("%d entries of %d bytes are left", n, size)
	}
	if _, err := r.Get(t.Context(), key(2*entries-1)); err != nil {
		t.Error(err)
	}
	if r.log.Len() > 0 {
		t.Error(&r.log)
	}
}

// TestRoomIsMadeWhereNoPageIsFree has a file that may not grow any more and whose last
// commit left almost no page free, although the pages in use are below the limit.
func TestRoomIsMadeWhereNoPageIsFree(t *testing.T) {
	t.Parallel()
	for more := range 8 {
		r := newRigIn(t, quickDir(t), Config{MaxBytes: 2 * minMaxBytes})
		n := 0
		put := func(entries int) {
			for range entries {
				if err := r.Put(t.Context(), key(n), value(1000), in(time.Hour+time.Duration(n)*time.Second), external.ClassUnproved); err != nil {
					t.Fatal(err)
				}
				n++
			}
			r.flush(t)
		}
		put(4000)
		put(80 + more)
		r.file.most = int(r.fileSize())
		r.file.full = r.file.most + minMaxBytes/32 + int(r.limits.growth)
		r.file.db.MaxSize = r.file.most
		for range 50 {
			put(1 + more)
		}
		put(1000)
		if len(r.index.slots) > n-500 {
			t.Errorf("%d entries of %d are left: none were evicted", len(r.index.slots), n)
		}
		if r.log.Len() > 0 {
			t.Error(&r.log)
		}
	}
}

func TestMaxBytes(t *testing.T) {
	for _, bad := range []int64{-1, 1, minMaxBytes - 1} {
		if s, err := Open(t.TempDir()+"/s.db", Config{MaxBytes: bad}); err == nil {
			s.Close()
			t.Errorf("MaxBytes %d was accepted", bad)
		}
	}
}
