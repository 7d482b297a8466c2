package sessioncache

// store is the inside of a cache. It keeps sessions as bytes, in tables whose elements
// refer to one another by number. It is not safe for concurrent use, and does not
// interpret the bytes.
//
// A slot's number is valid until a session is removed. The last slot then takes the place
// of the removed one.
type store struct {
	limits           Limits
	hasher           hasher
	inserted, queued uint64 // how many sessions were put in, and into any part

	slots table[slot]
	cells table[cell]
	index index
	parts [parts]queue
}

// slot is one session in the store, with a copy of what its value's methods returned when
// it was put in. Its expiry is in its place.
type slot struct {
	serial uint64
	number uint64 // in order of insertion into the cache
	size   int64

	hash   uint32
	next   int32 // in the index's chain
	first  int32 // cell
	length int32 // of key and record
	place  int32 // in its part
	keyLen uint8

	part    Part
	vouched bool // for a session that descends from this one
}

// entry is a session on its way in.
type entry struct {
	key    string
	serial uint64
	expiry int64
	size   int64
	record []byte
}

// image is a copy of a session on its way out, which is decoded outside the lock. The
// zero image means no session.
type image struct {
	serial, number uint64
	keyLen         int
	bytes          []byte // key and record; not nil
}

func newStore(limits Limits, hasher hasher) *store {
	s := &store{limits: limits, hasher: hasher}
	s.index = newIndex(&s.slots)
	for p := range s.parts {
		s.parts[p].slots = &s.slots
	}
	return s
}

func (s *store) len() int { return int(s.slots.n) }

func (s *store) bytes() int64 {
	_, bytes := s.from(Unproved)
	return bytes
}

// from returns how much there is in the part p and those above it.
func (s *store) from(p Part) (count int, bytes int64) {
	for ; p < parts; p++ {
		count += int(s.parts[p].places.n)
		bytes += s.parts[p].bytes
	}
	return count, bytes
}

// find returns the slot of a key, or none.
func (s *store) find(key string) int32 {
	hash := s.hasher.of(key)
	for i := *s.index.head(hash); i != none; {
		at := s.slots.at(i)
		if at.hash == hash && int(at.keyLen) == len(key) && s.beginsWith(at.first, key) {
			return i
		}
		i = at.next
	}
	return none
}

// findSession returns the slot of one session, or none.
func (s *store) findSession(key string, serial uint64) int32 {
	if i := s.find(key); i != none && s.slots.at(i).serial == serial {
		return i
	}
	return none
}

// An identity is the least that identifies a session.
type identity struct {
	serial uint64
	hash   uint32
}

func (s *store) identities() []identity {
	all := make([]identity, s.len())
	for i := range all {
		at := s.slots.at(int32(i))
		all[i] = identity{at.serial, at.hash}
	}
	return all
}

// identical returns the slot of the session that was id, or none.
func (s *store) identical(id identity) int32 {
	i := *s.index.head(id.hash)
	for i != none && s.slots.at(i).serial != id.serial {
		i = s.slots.at(i).next
	}
	return i
}

func (s *store) second(i int32) int64 {
	at := s.slots.at(i)
	return s.parts[at.part].places.at(at.place).second
}

// attach puts in a session for which there is room. as has its part and the slot's other
// fields.
func (s *store) attach(e entry, as slot) {
	i, at := s.slots.push()
	*at = slot{
		serial: e.serial, number: as.number, size: e.size, vouched: as.vouched,
		hash: s.hasher.of(e.key), first: none, length: int32(len(e.key) + len(e.record)), keyLen: uint8(len(e.key)),
	}
	s.write(i, e.key, e.record)
	s.index.add(i)
	s.enqueue(i, e.expiry, Unproved)
	s.promote(i, as.part)
}

// enqueue puts slot i, which is in no part, into one.
func (s *store) enqueue(i int32, second int64, to Part) {
	s.queued++
	s.slots.at(i).part = to
	s.parts[to].add(place{second: second, arrival: s.queued, slot: i})
}

// requeue moves slot i to another part.
func (s *store) requeue(i int32, to Part) {
	second := s.second(i)
	s.dequeue(i)
	s.enqueue(i, second, to)
}

func (s *store) dequeue(i int32) {
	at := s.slots.at(i)
	s.parts[at.part].remove(at.place)
}

// imageOf copies the session in slot i, or returns none.
func (s *store) imageOf(i int32) image {
	if i == none {
		return image{}
	}
	at := s.slots.at(i)
	copied := image{at.serial, at.number, int(at.keyLen), make([]byte, at.length)}
	s.read(copied.bytes, at.first)
	return copied
}

// take copies the session in slot i and removes it.
func (s *store) take(i int32) image {
	taken := s.imageOf(i)
	s.detach(i)
	return taken
}

// detach removes the session in slot i and reports whether there was one.
func (s *store) detach(i int32) bool {
	if i == none {
		return false
	}
	s.dequeue(i)
	s.index.remove(i)
	s.erase(i)
	s.fillSlot(i)
	return true
}

// fillSlot moves the last slot to i, which nothing refers to any more.
func (s *store) fillSlot(i int32) {
	last := s.slots.n - 1
	if i != last {
		moved := s.slots.at(last)
		s.index.move(last, i)
		s.parts[moved.part].places.at(moved.place).slot = i
		s.setPrev(moved.first, ^i)
		*s.slots.at(i) = *moved
	}
	s.slots.pop()
}
