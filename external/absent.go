package external

import (
	"sync"
	"time"
)

// An absentees is a bounded set of keys that need not be looked up for a while.
// When it is full, the one that has been in it longest is forgotten.
type absentees struct {
	mu    sync.Mutex
	size  int
	until map[Key]time.Time
	order []Key // a ring of what is in until, once it has grown to size
	next  int   // the place in the ring that is taken next
}

func newAbsentees(size int) *absentees {
	return &absentees{size: size, until: make(map[Key]time.Time)}
}

func (a *absentees) add(key Key, until time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, there := a.until[key]; !there {
		a.place(key)
	}
	a.until[key] = until
}

func (a *absentees) place(key Key) {
	if len(a.order) < a.size {
		a.order = append(a.order, key)
		return
	}
	delete(a.until, a.order[a.next])
	a.order[a.next] = key
	a.next = (a.next + 1) % a.size
}

func (a *absentees) forget(key Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.until, key)
}

func (a *absentees) has(key Key) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	until, there := a.until[key]
	return there && time.Now().Before(until)
}
