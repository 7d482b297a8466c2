package sessioncache

import "math"

// cellRoom makes one cell enough for a session without client certificates; with
// a chain of certificates it takes ten or twenty, the last one half empty.
const cellRoom = 216

// A cell holds a part of a session's bytes: its key, then its record. The cells
// of one session are a chain. Before the first is the session's slot.
type cell struct {
	prev, next int32 // cells; prev is ^slot for the first
	bytes      [cellRoom]byte
}

// maxCells is what a link can tell apart: 448 GiB of them.
const maxCells = math.MaxInt32

func cellsFor(length int) int { return (length + cellRoom - 1) / cellRoom }

// write puts key and record into cells for slot i, which has none.
func (s *store) write(i int32, key string, record []byte) {
	prev := ^i
	for len(key)+len(record) > 0 {
		at, c := s.cells.push()
		c.prev, c.next = prev, none
		s.setNext(prev, at)
		room := c.bytes[:]
		n := copy(room, key)
		m := copy(room[n:], record)
		key, record = key[n:], record[m:]
		prev = at
	}
}

// read fills b with the bytes in the chain that begins with the cell at.
func (s *store) read(b []byte, at int32) {
	for len(b) > 0 {
		c := s.cells.at(at)
		b = b[copy(b, c.bytes[:]):]
		at = c.next
	}
}

// beginsWith reports whether the chain that begins with the cell at holds at least
// the bytes of key, and those first.
func (s *store) beginsWith(at int32, key string) bool {
	for len(key) > 0 {
		c := s.cells.at(at)
		n := min(len(key), cellRoom)
		if string(c.bytes[:n]) != key[:n] {
			return false
		}
		key, at = key[n:], c.next
	}
	return true
}

// erase gives back the cells of slot i. Each is unlinked before its place is
// filled, which may move the next of the same chain.
func (s *store) erase(i int32) {
	first := &s.slots.at(i).first
	for *first != none {
		at := *first
		next := s.cells.at(at).next
		s.setNext(^i, next)
		s.setPrev(next, ^i)
		s.fillCell(at)
	}
}

// fillCell moves the last cell to at, where one has been unlinked.
func (s *store) fillCell(at int32) {
	last := s.cells.n - 1
	if at != last {
		moved := s.cells.at(last)
		s.setNext(moved.prev, at)
		s.setPrev(moved.next, at)
		*s.cells.at(at) = *moved
	}
	s.cells.pop()
}

// setNext makes at the one that comes after prev, a cell or ^slot.
func (s *store) setNext(prev, at int32) {
	if prev < 0 {
		s.slots.at(^prev).first = at
	} else {
		s.cells.at(prev).next = at
	}
}

// setPrev makes prev the one that comes before the cell at, if there is one.
func (s *store) setPrev(at, prev int32) {
	if at != none {
		s.cells.at(at).prev = prev
	}
}
