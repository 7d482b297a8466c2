package sessioncache

import (
	"bytes"
	"fmt"
	"math/rand"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fickle is a session that its owner can change at any time.
type fickle struct{ *session }

func decodeFickle(serial uint64, key, record []byte) fickle {
	s := decode(serial, key, record)
	return fickle{&s}
}

// TestCVE_2024_2511 is the lesson of that vulnerability: the id of a session
// changed while it was cached, so that it could be neither found nor removed,
// and libssl's cache grew without bound.
func TestCVE_2024_2511(t *testing.T) {
	c := New(Limits{Count: 8, Bytes: 20}, decodeFickle)
	var last, was session
	for i := range 1000 {
		last = sized(fmt.Sprint(i), int64(i%7), 1+i%3)
		was = last
		c.Put(fickle{&last}, Part(i%parts))
		// Everything that a value says changes under our hands, and so does what
		// comes out.
		last.key, last.serial, last.expiry, last.size = "mutated", 0, 1<<50, -1<<20
		if got, ok := c.Get(was.key); ok {
			got.key, got.expiry = "mutated too", 1<<50
		}
		c.check(t)
	}
	got, ok := c.Get("999")
	same(t, "Get by the key it came under", ok && *got.session == was, true)
	same(t, "Drop by what it says now", c.Drop(fickle{&last}), false)
	got, ok = c.Remove("999")
	same(t, "Remove by the key it came under", ok && *got.session == was, true)
	c.check(t)
	c.SetLimits(Limits{Count: 3, Bytes: 20})
	c.check(t)
	same(t, "Expire", len(slices.Collect(c.Expire(time.Unix(100, 0)))), 3)
	same(t, "Len", c.Len(), 0)
	c.check(t)
}

// nosy looks at the cache from each of its methods, and when it is made, which
// would deadlock if any were called under the lock.
type nosy struct {
	session
	cache *Cache[nosy]
}

func (n nosy) Key() string                  { n.cache.Len(); return n.session.Key() }
func (n nosy) Serial() uint64               { n.cache.Len(); return n.session.Serial() }
func (n nosy) ExpirySecond() int64          { n.cache.Len(); return n.session.ExpirySecond() }
func (n nosy) Size() int                    { n.cache.Len(); return n.session.Size() }
func (n nosy) AppendRecord(b []byte) []byte { n.cache.Len(); return n.session.AppendRecord(b) }

func TestNothingForeignRunsUnderTheLock(t *testing.T) {
	var c *Cache[nosy]
	made := func(key string, expiry int64) nosy { return nosy{made(key, expiry), c} }
	decoded := 0
	c = New(Limits{Count: 2, Bytes: 100}, func(serial uint64, key, record []byte) nosy {
		decoded += 1 + 0*c.Len()
		return nosy{decode(serial, key, record), c}
	})
	a := made("a", 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Put(a, Unproved)
		c.Put(a, Used)
		c.Renew(a)
		c.Promote(a, Used)
		c.Vouch(a)
		c.Put(made("a", 2), Unproved)
		c.Put(made("b", 2), Unproved)
		c.Put(made("c", 2), Unproved)
		c.Drop(a)
		c.Get("c")
		for range c.All() {
			c.Len()
		}
		c.SetLimits(Limits{Count: 1, Bytes: 100})
		for range c.Expire(time.Unix(9, 0)) {
			c.Put(made("d", 12), Unproved)
		}
		c.Remove("d")
		c.Put(made("e", 1), Unproved)
		for range c.Clear() {
			c.Len()
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("a method of a value was called under the lock")
	}
	same(t, "values that were decoded", decoded, 9)
	c.check(t)
}

// TestRemovedIsNowhere: whatever leaves the cache is key material, and none of it
// stays in the cache's memory, whichever way it left.
func TestRemovedIsNowhere(t *testing.T) {
	c := newChecked(t, Limits{Count: 40, Bytes: 1000})
	gone := map[string]session{}
	for i, way := range []string{"replaced", "renewed", "expired", "removed", "dropped", "shrunk", "evicted", "stays"} {
		for part := range 2 { // of one cell, and of several
			s := made(fmt.Sprint(way, part), int64(100+i))
			s.pad = 50 + 3*cellRoom*part
			c.put(s, map[bool]Part{true: Used}[way == "stays"])
			gone[s.key] = s
		}
	}
	for part := range 2 {
		is := func(way string) string { return fmt.Sprint(way, part) }
		c.Put(made(is("replaced"), 500), Unproved)
		c.Renew(session{key: is("renewed"), serial: gone[is("renewed")].serial, expiry: 501, size: 1})
		c.Remove(is("removed"))
		c.Drop(gone[is("dropped")])
	}
	c.expire(time.Unix(102, 1))
	same(t, "shrunk", len(c.SetLimits(Limits{Count: 8, Bytes: 1000})), 2)
	same(t, "evicted", len(c.put(sized("large", 600, 995), Unproved).Evicted), 3)
	c.Remove("large")
	for way, s := range gone {
		same(t, way+" is still there", c.store.remembers(s), strings.HasPrefix(way, "stays"))
	}

	inside := c.store
	c.clear()
	same(t, "cleared is still there", inside.remembers(gone["stays1"]) || c.store.remembers(gone["stays1"]), false)
	same(t, "blocks after Clear", len(c.store.cells.blocks)+len(c.store.slots.blocks), 0)
}

// remembers reports whether a piece of s's padding is anywhere in the cells, those
// that are free among them. Each piece of it names the session.
func (s *store) remembers(of session) bool {
	piece := padding(of.serial, of.pad)[of.pad-20:]
	for _, block := range s.cells.blocks {
		for i := range block {
			if bytes.Contains(block[i].bytes[:], piece) {
				return true
			}
		}
	}
	return false
}

// TestChurnOverManySeconds: seconds that are done with leave nothing behind.
func TestChurnOverManySeconds(t *testing.T) {
	c := newChecked(t, Limits{Count: 10, Bytes: 100})
	for i := range 20_000 {
		s := made(fmt.Sprint(i), int64(i*7919%100_003))
		c.Put(s, Part(i%parts))
		if i%2 == 0 {
			c.Drop(s)
		}
		if i%16 < 2 {
			c.check(t)
		}
	}
}

// TestBordersOfBlocks: tables that grow and shrink through the borders of their
// blocks, one session at a time and at random, with hashes that collide.
func TestBordersOfBlocks(t *testing.T) {
	for _, mask := range []uint32{1<<32 - 1, 15} {
		c := newChecked(t, Limits{Count: 3 * blockLen, Bytes: 1 << 40})
		c.store.hasher.mask = mask
		r := rand.New(rand.NewSource(1))
		var held []session
		for _, target := range []int{blockLen, blockLen + 1, blockLen - 1, 3 * blockLen, 0, 2*blockLen + 1, 1, 0} {
			for len(held) < target {
				s := made(fmt.Sprint(len(held), target), r.Int63n(100))
				s.pad = r.Intn(3) * cellRoom / 2
				c.put(s, Part(r.Intn(parts)))
				held = append(held, s)
			}
			for len(held) > target {
				i := r.Intn(len(held))
				got, ok := c.Remove(held[i].key)
				same(t, "Remove", got, held[i])
				same(t, "Remove", ok, true)
				held = slices.Delete(held, i, i+1)
				c.check(t)
			}
			for _, s := range held {
				got, _ := c.Get(s.key)
				same(t, "Get", got, s)
			}
		}
	}
}

// TestExpireInBatches: the order of Expire holds over more sessions than leave at a
// time, and it ends although the caller puts back what it is given.
func TestExpireInBatches(t *testing.T) {
	c := newChecked(t, Limits{Bytes: 1 << 40})
	const n = 5*batch/2 + 3
	for i := range n {
		c.Put(made(fmt.Sprint(i), int64(i%(n/7))), Part(i%parts))
	}
	c.check(t)
	gone := c.expire(time.Unix(n, 0))
	same(t, "expired", len(gone), n)
	if !slices.IsSortedFunc(gone, func(a, b session) int {
		if a.expiry != b.expiry {
			return int(a.expiry - b.expiry)
		}
		return int(a.serial - b.serial)
	}) {
		t.Error("not in order")
	}
	for i := range n {
		c.Put(made(fmt.Sprint(i), int64(i)), Unproved)
	}
	yielded := 0
	for s := range c.Expire(time.Unix(n, 0)) {
		c.Put(s, Unproved)
		yielded++
	}
	if yielded < n || yielded > n+batch {
		t.Errorf("%d sessions were yielded, %d were there", yielded, n)
	}
	same(t, "Len", c.Len(), n)
	c.check(t)
}

// TestAllWhileTheCacheChanges: what leaves before its turn is not yielded, and what
// comes is not either.
func TestAllWhileTheCacheChanges(t *testing.T) {
	c := newChecked(t, Limits{Bytes: 1 << 40})
	for i := range 10 {
		c.put(made(fmt.Sprint(i), 1), Unproved)
	}
	var got []string
	for s := range c.All() {
		got = append(got, s.key)
		if len(got) == 1 {
			for i := range 10 {
				if key := fmt.Sprint(i); key != s.key {
					c.Put(made(key, 2), Unproved)
				}
			}
			c.Put(made("new", 1), Unproved)
		}
	}
	same(t, "yielded", len(got), 1)
	for range c.All() {
		break // and the lock is free
	}
	c.check(t)
}

func TestConcurrentUse(t *testing.T) {
	c := newChecked(t, Limits{Count: 50, Bytes: 400})
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			r := rand.New(rand.NewSource(int64(worker)))
			var own session
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
	held := len(slices.Collect(c.All()))
	same(t, "Clear", len(c.clear()), held)
	c.holds("", "", "")
}

func concurrentStep(c checked, r *rand.Rand, own session, serial uint64) session {
	s := session{key: fmt.Sprint(r.Intn(100)), serial: serial, expiry: r.Int63n(50), size: 1 + r.Intn(20), pad: r.Intn(3 * cellRoom)}
	if own.serial == 0 {
		own = s
	}
	switch r.Intn(11) {
	case 0, 1, 2, 3:
		c.Put(s, Part(r.Intn(parts)))
		return s
	case 4:
		own.expiry += 5
		c.Renew(own)
	case 5:
		c.Promote(own, Part(r.Intn(parts)))
	case 6:
		c.Drop(own)
	case 7:
		c.Remove(s.key)
		c.Get(own.key)
	case 8:
		for range c.Expire(time.Unix(r.Int63n(20), 1)) {
		}
	case 9:
		c.SetLimits(Limits{Count: 30 + r.Intn(30), Bytes: 300 + r.Int63n(200)})
		for range c.All() {
		}
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
