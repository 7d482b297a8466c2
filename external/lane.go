package external

import (
	"slices"
	"sync"
	"time"
)

// A lane is a queue of writes with one place for each key: a later write for a key
// takes the place of the one that waits. Removals have room of their own, so that
// a flood of new sessions does not keep a session from being removed.
type lane struct {
	size int           // bound of puts, and of removals
	wake chan struct{} // holds one element while there may be something to do

	mu      sync.Mutex
	queue   []Key // in the order in which they came; each is in waits
	waits   map[Key]*write
	failed  []*write // removals to be made again
	running *write
	puts    int // in waits
	deletes int // in waits and failed
	closed  bool
}

func (l *lane) init(size int) {
	l.size = size
	l.wake = make(chan struct{}, 1)
	l.waits = make(map[Key]*write)
}

// add queues op, for which nobody is woken yet, and returns false if there is no
// room. The write that waited for
// the key, if there was one, is returned and will not be made: not even if there is
// no room for a removal that was to take its place.
func (l *lane) add(op *write) (instead *write, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, false
	}
	if instead = l.waits[op.key]; instead != nil {
		*l.tally(instead)--
	}
	if *l.tally(op) >= l.size {
		l.cancel(instead)
		return instead, false
	}
	if instead == nil {
		l.queue = append(l.queue, op.key)
	}
	l.waits[op.key] = op
	*l.tally(op)++
	return instead, true
}

// cancel takes a write that is no longer counted out of the queue.
func (l *lane) cancel(op *write) {
	if op == nil {
		return
	}
	delete(l.waits, op.key)
	at := slices.Index(l.queue, op.key)
	l.queue = slices.Delete(l.queue, at, at+1)
}

// tally is the count to which op belongs.
func (l *lane) tally(op *write) *int {
	if op.isDelete() {
		return &l.deletes
	}
	return &l.puts
}

func (l *lane) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take waits for the next write; nil when the lane is closed and empty.
func (l *lane) take() *write {
	for {
		op, pause := l.next()
		switch {
		case op != nil:
			return op
		case pause < 0:
			return nil
		case pause == 0:
			<-l.wake
		case !l.wakesWithin(pause):
			l.retryOne()
		}
	}
}

// next returns the next write, or how long to wait for one: for ever if 0, and
// not at all if it is negative.
func (l *lane) next() (op *write, pause time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 && len(l.failed) > 0 && l.closed {
		l.requeue()
	}
	switch {
	case len(l.queue) > 0:
		op = l.waits[l.queue[0]]
		delete(l.waits, op.key)
		l.queue = l.queue[1:]
		*l.tally(op)--
		op.last = l.closed
		l.running = op
		return op, 0
	case l.closed:
		return nil, -1
	case len(l.failed) > 0:
		return nil, retryPause
	default:
		return nil, 0
	}
}

func (l *lane) wakesWithin(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-l.wake:
		return true
	case <-timer.C:
		return false
	}
}

// made ends the write that take returned. After each that is done with, a removal
// that failed before gets its turn.
func (l *lane) made(op *write, again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = nil
	if !again {
		l.requeue()
		return
	}
	l.deletes++
	l.failed = append(l.failed, op)
}

func (l *lane) retryOne() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requeue()
}

// requeue puts the first failed removal at the queue's end, unless there is a newer
// write for its key.
func (l *lane) requeue() {
	if len(l.failed) == 0 {
		return
	}
	op := l.failed[0]
	l.failed = l.failed[1:]
	if _, newer := l.waits[op.key]; newer {
		l.deletes--
		return
	}
	l.waits[op.key] = op
	l.queue = append(l.queue, op.key)
}

// underway returns the value of the write for key that waits or is being made.
func (l *lane) underway(key Key) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if op := l.waits[key]; op != nil {
		return op.value
	}
	if l.running != nil && l.running.key == key {
		return l.running.value
	}
	return nil
}

func (l *lane) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.puts + l.deletes
}

func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.signal()
}
