package sessioncache

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"time"
)

// Expire removes every session that has expired by now, from every part, and yields them,
// earliest expiry first. Sessions of the same second come in the order in which they were
// put in. They are removed in batches as the caller ranges over them, so the lock is not
// held for all of them and not all are decoded at once. Expire removes no more sessions
// than there were when it began, whatever the caller puts in meanwhile.
func (c *Cache[V]) Expire(now time.Time) iter.Seq[V] {
	return func(yield func(V) bool) {
		for left := c.Len(); left > 0; {
			gone := locked(c, func(s *store) []image { return s.takeDue(expiredBy(now)) })
			if len(gone) == 0 || !c.yieldAll(gone, yield) {
				return
			}
			left -= len(gone)
		}
	}
}

// Clear removes everything at once, and yields it in the order of Expire.
func (c *Cache[V]) Clear() iter.Seq[V] {
	out := locked(c, func(s *store) *store { c.store = newStore(s.limits, s.hasher); return s })
	return func(yield func(V) bool) {
		for gone := out.takeDue(always); len(gone) > 0; gone = out.takeDue(always) {
			if !c.yieldAll(gone, yield) {
				return
			}
		}
	}
}

func (c *Cache[V]) yieldAll(images []image, yield func(V) bool) bool {
	for _, i := range images {
		if v, _ := c.value(i); !yield(v) {
			return false
		}
	}
	return true
}

// batch is how many sessions takeDue takes out at a time, or as many as the last
// second has.
const batch = 1024

// takeDue takes out a batch of the sessions whose second is due, whole seconds and
// the earliest first, within one second in the order in which they were put in. It
// returns none when none is left.
func (s *store) takeDue(due func(second int64) bool) []image {
	var gone []image
	for len(gone) < batch {
		second, ok := s.earliest()
		if !ok || !due(second) {
			break
		}
		gone = s.takeSecond(gone, second)
	}
	return gone
}

// earliest returns the expiry second of the session nearest to it, in any part.
func (s *store) earliest() (second int64, ok bool) {
	second = math.MaxInt64
	for p := range s.parts {
		if first := s.parts[p].first(); first != nil {
			second, ok = min(second, first.second), true
		}
	}
	return second, ok
}

// takeSecond takes out the sessions of one second, the earliest, and appends them
// to gone in the order in which they were put in.
func (s *store) takeSecond(gone []image, second int64) []image {
	before := len(gone)
	for i := range s.parts {
		p := &s.parts[i]
		for first := p.first(); first != nil && first.second == second; first = p.first() {
			gone = append(gone, s.take(first.slot))
		}
	}
	slices.SortFunc(gone[before:], func(a, b image) int { return cmp.Compare(a.number, b.number) })
	return gone
}

// expiredBy returns what reports whether now is after the instant at which a second
// begins: a session is valid at 1100.0 if 1100 is its last second, and not at
// 1100.5. It is now.After(time.Unix(second, 0)) for every second; the latter
// overflows.
func expiredBy(now time.Time) func(second int64) bool {
	return func(second int64) bool {
		return now.Unix() > second || now.Unix() == second && now.Nanosecond() > 0
	}
}

func always(int64) bool { return true }
