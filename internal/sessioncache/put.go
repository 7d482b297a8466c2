package sessioncache

import "math"

// The methods of Cache that decide what to keep.

func (s *store) put(e entry, to Part) Change[image] {
	old := s.find(e.key)
	if old != none && s.slots.at(old).serial == e.serial {
		s.promote(old, to)
		return Change[image]{}
	}
	if s.cannotHold(e) {
		return Change[image]{}
	}
	change := Change[image]{Stored: true}
	if old != none {
		to = max(to, s.slots.at(old).part)
		change.Replaced, change.DidReplace = s.take(old), true
	}
	change.Evicted = s.makeRoom(e.size)
	s.inserted++
	s.attach(e, slot{number: s.inserted, part: to})
	return change
}

func (s *store) renew(e entry) bool {
	i := s.findSession(e.key, e.serial)
	if i == none || s.cannotHold(e) || s.bytes()-s.slots.at(i).size > s.limits.Bytes-e.size {
		return false
	}
	was := *s.slots.at(i)
	s.detach(i)
	s.attach(e, was)
	return true
}

// cannotHold reports whether e has no size, is too large even for an empty store, or
// exceeds what links and lengths can represent.
func (s *store) cannotHold(e entry) bool {
	length := len(e.key) + len(e.record)
	return e.size <= 0 || e.size > s.limits.Bytes ||
		len(e.key) > math.MaxUint8 || length > math.MaxInt32 || cellsFor(length) > maxCells-int(s.cells.n)
}

func (s *store) vouch(i int32) bool {
	if i == none || s.slots.at(i).vouched {
		return false
	}
	s.slots.at(i).vouched = true
	return true
}
