package sessioncache

import "iter"

// RemoveWhere removes the sessions for which gone reports true, and yields them. It calls
// gone under the lock with the first n bytes of each record, which must have as many.
// Sessions put in meanwhile may be skipped.
func (c *Cache[V]) RemoveWhere(n int, gone func(start []byte) bool) iter.Seq[V] {
	return func(yield func(V) bool) {
		for next := int32(c.Len()) - 1; next >= 0; {
			out := locked(c, func(s *store) (out []image) { out, next = s.takeWhere(next, n, gone); return out })
			if !c.yieldAll(out, yield) {
				return
			}
		}
	}
}

// takeWhere looks at a batch of slots, from the given one down, and returns the slot to
// continue with. When it removes a session, the last slot takes its place; that one has
// been looked at already, or is new.
func (s *store) takeWhere(from int32, n int, gone func([]byte) bool) (out []image, next int32) {
	from = min(from, s.slots.n-1)
	var start []byte
	for next = from; next >= 0 && next > from-batch; next-- {
		at := s.slots.at(next)
		start = append(start[:0], make([]byte, int(at.keyLen)+n)...)
		s.read(start, at.first)
		if gone(start[at.keyLen:]) {
			out = append(out, s.take(next))
		}
	}
	return out, next
}
