package memstore

import (
	"container/heap"
	"time"

	"github.com/halfshake/halfshake/external"
)

// An entry's key, value and expiry never change: a Put under its key makes a new entry.
type entry struct {
	key     external.Key
	value   []byte
	expires time.Time
	part    *byExpiry // &Store.unproved or &Store.proved
	place   int       // in part
}

// expired reports whether now is after the entry's expiry.
func (e *entry) expired(now time.Time) bool { return now.After(e.expires) }

// add adds an entry under an unused key, and evicts another if the store is full.
func (s *Store) add(e *entry, class external.Class) {
	for len(s.entries) >= s.maxEntries {
		s.remove(s.unproved[0].key) // a full store always has one: maxProved is less than maxEntries
	}
	s.entries[e.key] = e
	s.enqueue(e, &s.unproved)
	if class == external.ClassProved {
		s.promote(e)
	}
}

// promote moves an entry to the proved part, and sends the one nearest to its
// expiry back from there if the part is full.
func (s *Store) promote(e *entry) {
	if s.maxProved == 0 {
		return
	}
	if len(s.proved) == s.maxProved {
		s.move(s.proved[0], &s.unproved)
	}
	s.move(e, &s.proved)
}

func (s *Store) move(e *entry, part *byExpiry) {
	heap.Remove(e.part, e.place)
	s.enqueue(e, part)
}

func (s *Store) enqueue(e *entry, part *byExpiry) {
	e.part = part
	heap.Push(part, e)
}

// remove takes out the entry under key, and returns nil if there is none.
func (s *Store) remove(key external.Key) *entry {
	e, ok := s.entries[key]
	if !ok {
		return nil
	}
	delete(s.entries, key)
	heap.Remove(e.part, e.place)
	return e
}

// removeExpired removes every entry that has expired. Put calls it, so that over
// time it removes no more than Put adds.
func (s *Store) removeExpired(now time.Time) {
	for _, part := range []*byExpiry{&s.unproved, &s.proved} {
		for len(*part) > 0 && (*part)[0].expired(now) {
			s.remove((*part)[0].key)
		}
	}
}

// byExpiry is a heap with the entry that expires first at its top.
type byExpiry []*entry

var _ heap.Interface = (*byExpiry)(nil)

func (h byExpiry) Len() int           { return len(h) }
func (h byExpiry) Less(i, j int) bool { return h[i].expires.Before(h[j].expires) }

func (h byExpiry) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *byExpiry) Push(x any) {
	e := x.(*entry)
	e.place = len(*h)
	*h = append(*h, e)
}

func (h *byExpiry) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil // for the garbage collector
	*h = (*h)[:last]
	return e
}
