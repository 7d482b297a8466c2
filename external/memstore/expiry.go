package memstore

import (
	"container/heap"
	"time"

	"github.com/halfshake/halfshake/external"
)

// An entry never changes but in its place: a Put to its key makes a new one.
type entry struct {
	key     external.Key
	value   []byte
	expires time.Time
	place   int // in byExpiry
}

// expired reports whether now is after the last instant that the entry is for.
func (e *entry) expired(now time.Time) bool { return now.After(e.expires) }

// add puts in an entry for whose key there is none.
func (s *Store) add(e *entry) {
	s.entries[e.key] = e
	heap.Push(&s.byExpiry, e)
}

// remove takes out the entry under key, and returns nil if there is none.
func (s *Store) remove(key external.Key) *entry {
	e, ok := s.entries[key]
	if !ok {
		return nil
	}
	delete(s.entries, key)
	heap.Remove(&s.byExpiry, e.place)
	return e
}

// removeExpired is called by each Put, and over all of them removes no more than
// they put in.
func (s *Store) removeExpired(now time.Time) {
	for len(s.byExpiry) > 0 && s.byExpiry[0].expired(now) {
		s.remove(s.byExpiry[0].key)
	}
}

// makeRoom makes room for one more.
func (s *Store) makeRoom() {
	for len(s.entries) >= s.maxEntries {
		s.remove(s.byExpiry[0].key)
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
