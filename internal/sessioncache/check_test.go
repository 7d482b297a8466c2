package sessioncache

import "testing"

// check fails the test unless everything the cache holds agrees with
// everything else it holds, and with the limits.
func (c *Cache[V]) check(t testing.TB) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()

	c.checkPart(t, "unproved", c.unproved)
	c.checkPart(t, "proved", c.proved)
	if n := c.unproved.count + c.proved.count; n != len(c.entries) {
		t.Fatalf("%d entries in the parts, %d in the map", n, len(c.entries))
	}
	if n := len(c.entries); c.limits.Count > 0 && n > c.limits.Count {
		t.Fatalf("%d sessions, limit %d", n, c.limits.Count)
	}
	if n := c.bytes(); n > c.limits.Bytes {
		t.Fatalf("%d bytes, limit %d", n, c.limits.Bytes)
	}
	if n := c.proved.count; c.limits.Count > 0 && n > c.limits.Count*4/5 {
		t.Fatalf("%d proved sessions of %d", n, c.limits.Count)
	}
	if n := c.proved.bytes; n > c.limits.Bytes*4/5 {
		t.Fatalf("%d proved bytes of %d", n, c.limits.Bytes)
	}
}

func (c *Cache[V]) checkPart(t testing.TB, name string, p *part[V]) {
	t.Helper()
	var count int
	var bytes int64
	for i, b := range p.queue {
		if b.index != i || p.buckets[b.second] != b {
			t.Fatalf("%s: bucket %d at %d says it is at %d", name, b.second, i, b.index)
		}
		if i > 0 && p.queue[(i-1)/2].second >= b.second {
			t.Fatalf("%s: bucket %d is below a later or equal one in the heap", name, b.second)
		}
		for _, e := range c.checkBucket(t, name, b) {
			if e.part != p {
				t.Fatalf("%s: entry %x says it is in another part", name, e.key)
			}
			count++
			bytes += e.size
		}
	}
	if len(p.buckets) != len(p.queue) {
		t.Fatalf("%s: %d buckets by second, %d in the heap", name, len(p.buckets), len(p.queue))
	}
	if count != p.count || bytes != p.bytes {
		t.Fatalf("%s: counted %d entries of %d bytes, accounted %d of %d", name, count, bytes, p.count, p.bytes)
	}
	for _, b := range p.queue[len(p.queue):cap(p.queue)] {
		if b != nil {
			t.Fatalf("%s: a removed bucket is still reachable", name)
		}
	}
}

func (c *Cache[V]) checkBucket(t testing.TB, name string, b *bucket[V]) []*entry[V] {
	t.Helper()
	if b.head == nil || b.tail == nil || b.head.prev != nil || b.tail.next != nil {
		t.Fatalf("%s: bucket %d is empty or has loose ends", name, b.second)
	}
	var entries []*entry[V]
	for e := b.head; e != nil; e = e.next {
		if e.bucket != b || e.expiry != b.second {
			t.Fatalf("%s: entry %x of second %d is in bucket %d", name, e.key, e.expiry, b.second)
		}
		if e.next != nil && e.next.prev != e || e.next == nil && b.tail != e {
			t.Fatalf("%s: bucket %d's list is broken after %x", name, b.second, e.key)
		}
		if c.entries[e.key] != e {
			t.Fatalf("%s: entry %x is not in the map", name, e.key)
		}
		if e.size <= 0 {
			t.Fatalf("%s: entry %x has size %d", name, e.key, e.size)
		}
		entries = append(entries, e)
		if len(entries) > len(c.entries) {
			t.Fatalf("%s: bucket %d's list has a loop", name, b.second)
		}
	}
	return entries
}
