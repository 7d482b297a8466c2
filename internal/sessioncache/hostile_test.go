package sessioncache

import (
	"fmt"
	"math/rand"
	"runtime"
	"sync"
	"testing"
	"time"
	"weak"
)

// TestCVE_2024_2511 is the lesson of that vulnerability: the id of a session
// changed while it was cached, so that it could be neither found nor removed,
// and libssl's cache grew without bound.
func TestCVE_2024_2511(t *testing.T) {
	c := newChecked(t, Limits{Count: 8, Bytes: 20})
	var last *session
	for i := range 1000 {
		last = sized(fmt.Sprint(i), int64(i%7), 1+i%3)
		c.put(last, i%2 == 0)
		// Everything that a value says changes under our hands.
		last.key, last.serial, last.expiry, last.size = "mutated", 0, 1<<50, -1<<20
	}
	if got, ok := c.Get("999"); !ok || got != last {
		t.Fatalf("Get by the key it came under: got %v, %v", got, ok)
	}
	same(t, "Drop by what it says now", c.Drop(last), false)
	c.check(t)
	got, ok := c.Remove("999")
	same(t, "Remove by the key it came under", ok && got == last, true)
	c.check(t)
	c.SetLimits(Limits{Count: 3, Bytes: 20})
	c.check(t)
	same(t, "Expire", len(c.Expire(time.Unix(100, 0))), 3)
	c.holds("", "")
}

// nosy looks at the cache from each of its methods, which would deadlock if
// any were called under the lock.
type nosy struct {
	*session
	cache *Cache[nosy]
}

func (n nosy) Key() string         { n.cache.Len(); return n.session.Key() }
func (n nosy) Serial() uint64      { n.cache.Len(); return n.session.Serial() }
func (n nosy) ExpirySecond() int64 { n.cache.Len(); return n.session.ExpirySecond() }
func (n nosy) Size() int           { n.cache.Len(); return n.session.Size() }

func TestNothingForeignRunsUnderTheLock(t *testing.T) {
	c := New[nosy](Limits{Count: 2, Bytes: 100})
	a := nosy{made("a", 1), c}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Put(a, false)
		c.Put(a, true)
		c.Renew(a)
		c.Promote(a)
		c.Put(nosy{made("a", 2), c}, false)
		c.Put(nosy{made("b", 2), c}, false)
		c.Put(nosy{made("c", 2), c}, false)
		c.Drop(a)
		c.Values()
		c.SetLimits(Limits{Count: 1, Bytes: 100})
		c.Expire(time.Unix(9, 0))
		c.Clear()
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("a method of a value was called under the lock")
	}
	c.check(t)
}

// TestRemovedIsUnreachable: whatever leaves the cache holds key material.
func TestRemovedIsUnreachable(t *testing.T) {
	c := newChecked(t, Limits{Count: 40, Bytes: 1000})
	gone := map[string]weak.Pointer[session]{}
	for i, way := range []string{"replaced", "renewed", "expired", "removed", "dropped", "shrunk", "stays"} {
		s := made(way, int64(100+i))
		c.put(s, way == "stays")
		gone[way] = weak.Make(s)
	}
	c.put(made("replaced", 500), false)
	c.Renew(&session{key: "renewed", serial: gone["renewed"].Value().serial, expiry: 501, size: 1})
	c.Expire(time.Unix(102, 1))
	c.Remove("removed")
	c.Drop(gone["dropped"].Value())
	c.SetLimits(Limits{Count: 3, Bytes: 1000})
	c.holds("replaced renewed", "stays")
	runtime.GC()
	for way, s := range gone {
		same(t, way+" is reachable", s.Value() != nil, way == "stays")
	}

	stays := gone["stays"]
	c.Clear()
	runtime.GC()
	same(t, "cleared is reachable", stays.Value() != nil, false)
	runtime.KeepAlive(c)
}

// TestChurnOverManySeconds: seconds that are done with leave nothing behind.
func TestChurnOverManySeconds(t *testing.T) {
	c := newChecked(t, Limits{Count: 10, Bytes: 100})
	for i := range 20_000 {
		s := made(fmt.Sprint(i), int64(i*7919%100_003))
		c.put(s, i%3 == 0)
		if i%2 == 0 {
			c.Drop(s)
			c.check(t)
		}
	}
	for _, p := range []*part[*session]{c.unproved, c.proved} {
		if cap(p.queue) > 16 {
			t.Fatalf("room for %d buckets after at most 10 sessions", cap(p.queue))
		}
	}
}

// TestOverhead measures the worst case: as many buckets as sessions, and maps
// that have just grown.
func TestOverhead(t *testing.T) {
	all := make([]*session, 14_400)
	for i := range all {
		all[i] = made(fmt.Sprint(i), int64(i))
	}
	before := heapBytes()
	c := New[*session](Limits{Bytes: 1 << 40})
	for _, s := range all {
		c.Put(s, false)
	}
	if each := (heapBytes() - before) / int64(len(all)); each > Overhead {
		t.Errorf("%d bytes a session, Overhead says %d", each, Overhead)
	}
	runtime.KeepAlive(all)
	runtime.KeepAlive(c)
}

func heapBytes() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestConcurrentUse(t *testing.T) {
	c := newChecked(t, Limits{Count: 50, Bytes: 400})
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			r := rand.New(rand.NewSource(int64(worker)))
			var own *session
			for i := range 3000 {
				own = concurrentStep(c, r, own, uint64(worker*3000+i+1))
			}
		})
	}
	for range 100 {
		c.check(t)
		runtime.Gosched()
	}
	group.Wait()
	c.check(t)
	cleared := len(c.Values())
	same(t, "Clear", len(c.Clear()), cleared)
	c.holds("", "")
}

func concurrentStep(c checked, r *rand.Rand, own *session, serial uint64) *session {
	s := &session{key: fmt.Sprint(r.Intn(100)), serial: serial, expiry: r.Int63n(50), size: 1 + r.Intn(20)}
	if own == nil {
		own = s
	}
	switch r.Intn(11) {
	case 0, 1, 2, 3:
		c.Put(s, r.Intn(3) == 0)
		return s
	case 4:
		c.Renew(&session{key: own.key, serial: own.serial, expiry: own.expiry + 5, size: own.size})
	case 5:
		c.Promote(own)
	case 6:
		c.Drop(own)
	case 7:
		c.Remove(s.key)
		c.Get(own.key)
	case 8:
		c.Expire(time.Unix(r.Int63n(20), 1))
	case 9:
		c.SetLimits(Limits{Count: 30 + r.Intn(30), Bytes: 300 + r.Int63n(200)})
		c.Values()
	case 10:
		c.Len()
		c.Bytes()
		c.Limits()
		if r.Intn(50) == 0 {
			c.Clear()
		}
	}
	return own
}
