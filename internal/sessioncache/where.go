package sessioncache

import "iter"

// RemoveWhere takes out the sessions for which gone reports true, and yields them. It
// shows gone the first n bytes of each record, which must have as many, under the
// lock; what is put in meanwhile may be passed over.
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

// takeWhere looks at a batch of slots, from the given one down, and returns the one
// to go on with. A session that is taken out gives its slot to the last, which has
// been looked at, or is new.
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
