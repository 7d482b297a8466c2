package storetest

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// An event is one call, to one key, as its caller saw it. A value is known by
// its number; 0 is none.
type event struct {
	op       Op     // Put, Get, Take or Delete
	value    uint64 // what Put put, what Get or Take found
	from, to int64  // when it was called and when it had returned
}

func (e event) String() string {
	switch {
	case e.op == Put:
		return fmt.Sprintf("[%d, %d] Put %d", e.from, e.to, e.value)
	case e.op == Delete:
		return fmt.Sprintf("[%d, %d] Delete", e.from, e.to)
	case e.value == 0:
		return fmt.Sprintf("[%d, %d] %v found nothing", e.from, e.to, e.op)
	}
	return fmt.Sprintf("[%d, %d] %v found %d", e.from, e.to, e.op, e.value)
}

// apply returns what is under the key after e, if value was before, and false if
// e could not have seen what it saw.
func (e event) apply(value uint64) (after uint64, ok bool) {
	switch e.op {
	case Put:
		return e.value, true
	case Get:
		return value, e.value == value
	case Take:
		return 0, e.value == value
	default:
		return 0, true
	}
}

// A history is what happened to one key, of at most 64 events.
type history []event

func (h history) String() string {
	lines := make([]string, len(h))
	for i, e := range h {
		lines[i] = e.String()
	}
	return strings.Join(lines, "\n")
}

// linearizable reports whether there is a moment in each call, between its from
// and its to, such that the calls, done at these moments one after the other by
// a map, would have had the answers they had. It is the search of Wing and Gong,
// "Testing and verifying concurrent objects" (1993), with the memory that Lowe
// added in "Testing for linearizability" (2017).
func (h history) linearizable() bool {
	s := search{h, make(map[searched]bool)}
	return s.from(searched{})
}

type search struct {
	history history
	failed  map[searched]bool
}

// searched is a set of events, as bits, that are done, and what is then under
// the key.
type searched struct{ done, value uint64 }

func (s *search) from(at searched) bool {
	if at.done == 1<<len(s.history)-1 {
		return true
	}
	if s.failed[at] {
		return false
	}
	firstReturn := s.firstReturn(at.done)
	for i, e := range s.history {
		if at.done&(1<<i) != 0 || e.from > firstReturn {
			continue // it is done, or another had returned before it was called
		}
		value, ok := e.apply(at.value)
		if ok && s.from(searched{at.done | 1<<i, value}) {
			return true
		}
	}
	s.failed[at] = true
	return false
}

// firstReturn is when the first call returned that is not yet done.
func (s *search) firstReturn(done uint64) int64 {
	first := int64(math.MaxInt64)
	for i, e := range s.history {
		if done&(1<<i) == 0 {
			first = min(first, e.to)
		}
	}
	return first
}

// sort orders events by when they were called, to be read and to be searched
// quickly.
func (h history) sort() {
	slices.SortFunc(h, func(a, b event) int { return int(a.from - b.from) })
}
