package sessioncache

import (
	"cmp"
	"slices"
	"time"
)

// Expire takes out every session that has expired by now, from both parts, and
// returns them with the earliest expiry first; within one second, in the order
// in which they were put in.
func (c *Cache[V]) Expire(now time.Time) []V {
	c.mu.Lock()
	var gone []*entry[V]
	for _, p := range []*part[V]{c.unproved, c.proved} {
		for e := p.first(); e != nil && expired(e.expiry, now); e = p.first() {
			was := *e // e is used again
			gone = append(gone, &was)
			c.detach(e)
		}
	}
	c.mu.Unlock()

	return valuesByExpiry(gone)
}

// expired reports whether now is after the instant at which second begins: a
// session is valid at 1100.0 if 1100 is its last second, and not at 1100.5. It
// is now.After(time.Unix(second, 0)) for every second; the latter overflows.
func expired(second int64, now time.Time) bool {
	return now.Unix() > second || now.Unix() == second && now.Nanosecond() > 0
}

func valuesByExpiry[V Value](entries []*entry[V]) []V {
	slices.SortFunc(entries, func(a, b *entry[V]) int {
		return cmp.Or(cmp.Compare(a.expiry, b.expiry), cmp.Compare(a.number, b.number))
	})
	values := make([]V, len(entries))
	for i, e := range entries {
		values[i] = e.value
	}
	return values
}
