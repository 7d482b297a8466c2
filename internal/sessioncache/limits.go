package sessioncache

import (
	"fmt"
	"math"
)

// Limits bounds a cache. They hold after every operation.
type Limits struct {
	Count int   // how many sessions; 0 means bounded by Bytes alone
	Bytes int64 // the sum of their sizes; must be more than 0
}

func (l Limits) mustBeValid() {
	if l.Count < 0 || l.Bytes <= 0 {
		panic(fmt.Sprintf("halfshake: internal error: session cache limits of %d sessions, %d bytes", l.Count, l.Bytes))
	}
}

// count is Count with its zero spelled out.
func (l Limits) count() int {
	if l.Count == 0 {
		return math.MaxInt
	}
	return l.Count
}

// provedShare is how much of the cache the proved part may hold: four fifths,
// rounded down.
func (l Limits) provedShare() (count int, bytes int64) {
	return fourFifths(l.count()), fourFifths(l.Bytes)
}

// fourFifths rounds down, and does not overflow as n*4/5 would.
func fourFifths[N int | int64](n N) N {
	return n/5*4 + n%5*4/5
}

// Limits returns the limits in force.
func (c *Cache[V]) Limits() Limits {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.limits
}

// SetLimits changes the limits and returns what no longer fits, in the order in
// which it was chosen. It panics if the limits are not valid.
//
// Sessions are evicted first and sent back to the unproved part after that, so
// that no proved session goes while an unproved one stays.
func (c *Cache[V]) SetLimits(limits Limits) (evicted []V) {
	limits.mustBeValid()
	c.mu.Lock()
	defer c.mu.Unlock()

	c.limits = limits
	evicted = c.evict(limits.count(), limits.Bytes)
	c.demote(limits.provedShare())
	return evicted
}

// makeRoom evicts until one more entry of the given size fits.
func (c *Cache[V]) makeRoom(size int64) []V {
	return c.evict(c.limits.count()-1, c.limits.Bytes-size)
}

// evict takes out victims until no more than count entries and bytes are left.
func (c *Cache[V]) evict(count int, bytes int64) []V {
	var evicted []V
	for len(c.entries) > count || c.bytes() > bytes {
		victim := c.unproved.first()
		if victim == nil {
			victim = c.proved.first()
		}
		evicted = append(evicted, c.detach(victim))
	}
	return evicted
}

// promote moves e to the proved part, where room is made before it arrives, so
// that it is the last that could be sent back. An entry which that part could
// not hold even alone stays where it is, and sends nobody back.
func (c *Cache[V]) promote(e *entry[V]) {
	count, bytes := c.limits.provedShare()
	if e.part == c.proved || count < 1 || e.size > bytes {
		return
	}
	c.demote(count-1, bytes-e.size)
	e.part.remove(e)
	c.proved.add(e)
}

// demote sends proved entries back to the unproved part, nearest to expiry
// first, until no more than count of them and bytes are left.
func (c *Cache[V]) demote(count int, bytes int64) {
	for c.proved.count > count || c.proved.bytes > bytes {
		e := c.proved.first()
		c.proved.remove(e)
		c.unproved.add(e)
	}
}
