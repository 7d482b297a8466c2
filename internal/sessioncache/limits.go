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

// count returns Count, or the largest number for zero.
func (l Limits) count() int {
	if l.Count == 0 {
		return math.MaxInt
	}
	return l.Count
}

// provedShare is how much of the cache the proved and used parts may hold together: four
// fifths, rounded down.
func (l Limits) provedShare() (count int, bytes int64) {
	return fourFifths(l.count()), fourFifths(l.Bytes)
}

// fourFifths rounds down, and does not overflow as n*4/5 would.
func fourFifths[N int | int64](n N) N {
	return n/5*4 + n%5*4/5
}

// Limits returns the limits in force.
func (c *Cache[V]) Limits() Limits {
	return locked(c, func(s *store) Limits { return s.limits })
}

// SetLimits changes the limits and returns what no longer fits, in the order in
// which it was chosen. It panics if the limits are not valid.
func (c *Cache[V]) SetLimits(limits Limits) (evicted []V) {
	limits.mustBeValid()
	return c.values(locked(c, func(s *store) []image { return s.setLimits(limits) }))
}

// setLimits evicts first and then sends sessions back to the unproved part, so that no
// proved session is evicted while an unproved one stays.
func (s *store) setLimits(limits Limits) []image {
	s.limits = limits
	evicted := s.evict(limits.count(), limits.Bytes)
	s.demote(limits.provedShare())
	return evicted
}

// makeRoom evicts until one more session of the given size fits.
func (s *store) makeRoom(size int64) []image {
	return s.evict(s.limits.count()-1, s.limits.Bytes-size)
}

// evict takes out victims until no more than count sessions and bytes are left.
func (s *store) evict(count int, bytes int64) []image {
	var evicted []image
	for s.len() > count || s.bytes() > bytes {
		evicted = append(evicted, s.take(s.lowest(Unproved)))
	}
	return evicted
}

// lowest returns the slot to give up first of the part p and those above it.
func (s *store) lowest(p Part) int32 {
	for ; p < parts; p++ {
		if first := s.parts[p].first(); first != nil {
			return first.slot
		}
	}
	return none
}
