package external

import (
	"slices"
	"sync"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/internal/tombstone"
)

// A write is a Put or a Delete that the store has yet to make.
type write struct {
	key     Key
	expires time.Time
	done    chan struct{} // closed when it is over, made or not

	// A put has these.
	value   []byte
	session *halfshake.Session
	proved  func(*halfshake.Session) bool
	due     time.Time // until when it waits for proof

	kind kind // guarded by the lane's lock
}

// A kind of write has room of its own in a lane, so that a flood of one does not keep
// out another.
type kind uint8

const (
	// A removal is made again until it succeeds or its session has expired. It has as
	// much room as there are tombstones.
	removal kind = iota
	// A cleanup deletes a session that the revocation log has ended. It is tried once.
	cleanup
	// A provedPut, and an unprovedPut, are tried once.
	provedPut
	unprovedPut
	kinds
)

func (w *write) isPut() bool { return w.value != nil }

func (w *write) class() Class {
	if w.proved(w.session) {
		return ClassProved
	}
	return ClassUnproved
}

// A lane is a queue of writes. At most one write for a key waits in it: a later one takes
// the place of an earlier one.
type lane struct {
	size   int // room for each kind but removals
	stones *tombstone.Set[Key]
	wake   chan struct{} // holds one element while there may be something to do

	mu      sync.Mutex
	waits   map[Key]*write // every write that has not begun
	running *write
	// The lists have what waits, the first to come first. A write in them that is not
	// in waits any more is passed over.
	ready    []*write
	unproved []*write
	failed   []*write // removals to be made again
	counts   [kinds]int
	pruneAt  int       // number of removals at which those without a tombstone are dropped
	retryAt  time.Time // when to make a failed removal again
	turn     bool      // ready and unproved take turns
	closed   bool
}

const (
	// proofWait is how long an unproved session waits for its proof.
	proofWait = time.Second
	// proofInterval is how often the writer looks whether sessions have been proved.
	proofInterval = 100 * time.Millisecond
	// retryPause is how long a lane that is otherwise idle waits before it makes a
	// failed removal again, and closePause the same after Close.
	retryPause = time.Second
	closePause = 100 * time.Millisecond
	// minPrune is the least pruneAt.
	minPrune = 1024
	// slack is how many writes a lane's lists may hold beyond twice those that wait.
	slack = 64
)

func (l *lane) init(size int, stones *tombstone.Set[Key]) {
	l.size, l.stones = size, stones
	l.wake = make(chan struct{}, 1)
	l.waits = make(map[Key]*write)
	l.pruneAt = minPrune
}

// addPut queues a put, and returns the put that it replaces. There may be no room, or
// a removal of the same key, which is the last word.
func (l *lane) addPut(op *write) (replaced *write, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.waits[op.key]
	if l.closed || old != nil && !old.isPut() || l.running != nil && l.running.key == op.key && !l.running.isPut() {
		return nil, false
	}
	if room := l.size - l.counts[op.kind]; room <= 0 && (old == nil || old.kind != op.kind) {
		return nil, false
	}
	l.leave(old)
	l.enter(op)
	l.compact()
	if op.kind == unprovedPut && !op.due.IsZero() {
		l.unproved = append(l.unproved, op)
		if l.hurries() {
			l.signal()
		}
		return old, true
	}
	l.ready = append(l.ready, op)
	l.signal()
	return old, true
}

// addDelete queues a removal or a cleanup. It returns the write that stands for it,
// nil if there was no room, and the writes that will not be made any more. A delete
// that is queued for the key already stands for the new one, and so does a removal
// that is being made: nothing is put after it.
func (l *lane) addDelete(op *write) (pending *write, gone []*write) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running != nil && l.running.key == op.key && l.running.kind == removal {
		return l.running, nil
	}
	old := l.waits[op.key]
	switch {
	case l.closed, op.kind == cleanup && l.counts[cleanup] >= l.size:
		return nil, nil
	case old != nil && !old.isPut():
		l.leave(old)
		old.kind = min(old.kind, op.kind)
		l.enter(old)
		return old, nil
	case old != nil:
		l.leave(old)
		gone = append(gone, old)
	}
	l.enter(op)
	l.ready = append(l.ready, op)
	l.signal()
	if l.counts[removal] >= l.pruneAt {
		gone = append(gone, l.prune()...)
	}
	l.compact()
	return op, gone
}

// prune drops the removals whose tombstones are gone: a floor has taken their place,
// or there was no room for them.
func (l *lane) prune() (gone []*write) {
	for key, op := range l.waits {
		if op.kind == removal && !l.stones.Holds(key) {
			l.leave(op)
			gone = append(gone, op)
		}
	}
	l.pruneAt = max(2*l.counts[removal], minPrune)
	return gone
}

// compact drops from the lists the writes that do not wait any more, when there are
// more of them than of the others.
func (l *lane) compact() {
	if len(l.ready)+len(l.unproved)+len(l.failed) <= 2*len(l.waits)+slack {
		return
	}
	for _, list := range []*[]*write{&l.ready, &l.unproved, &l.failed} {
		*list = slices.DeleteFunc(*list, func(op *write) bool { return l.waits[op.key] != op })
	}
}

func (l *lane) enter(op *write) {
	l.waits[op.key] = op
	l.counts[op.kind]++
}

// leave takes a write out of the queue, if it is not nil.
func (l *lane) leave(op *write) {
	if op != nil {
		delete(l.waits, op.key)
		l.counts[op.kind]--
	}
}

func (l *lane) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take waits for the next write, and returns nil when the lane is closed and empty.
func (l *lane) take() *write {
	for {
		op, pause, ok := l.next(time.Now())
		if op != nil || !ok {
			return op
		}
		l.sleep(pause)
	}
}

// sleep waits until it is woken, or at most for a pause that is not 0.
func (l *lane) sleep(pause time.Duration) {
	if pause == 0 {
		<-l.wake
		return
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-l.wake:
	case <-timer.C:
	}
}

// next begins the next write. If no write may begin yet, it returns how long to wait, 0
// for until one comes. It returns false once the lane is closed and empty.
func (l *lane) next(now time.Time) (op *write, pause time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failed) > 0 && !now.Before(l.retryAt) {
		l.retry(now)
	}
	if op = l.pick(now); op != nil {
		l.leave(op)
		l.running = op
		return op, 0, true
	}
	return nil, l.pause(now), !l.closed || len(l.waits) > 0
}

// lookForProof wakes the lane if puts that waited for their proof may begin, and reports
// whether others go on waiting.
func (l *lane) lookForProof(now time.Time) (waiting bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.promote()
	first := l.first(&l.unproved)
	if len(l.ready) > 0 || first != nil && !now.Before(first.due) {
		l.signal()
	}
	return first != nil
}

// promote makes ready what has been proved.
func (l *lane) promote() {
	l.unproved = slices.DeleteFunc(l.unproved, func(op *write) bool {
		if l.waits[op.key] != op {
			return true
		}
		if l.counts[provedPut] >= l.size || !op.proved(op.session) {
			return false
		}
		l.leave(op)
		op.kind = provedPut
		l.enter(op)
		l.ready = append(l.ready, op)
		return true
	})
}

// pick takes the next write from its list, nil if none may begin.
func (l *lane) pick(now time.Time) *write {
	ready, unproved := l.first(&l.ready), l.first(&l.unproved)
	if unproved != nil && !l.hurries() && now.Before(unproved.due) {
		unproved = nil
	}
	l.turn = !l.turn
	switch {
	case ready != nil && (unproved == nil || l.turn):
		return shift(&l.ready)
	case unproved != nil:
		return shift(&l.unproved)
	default:
		return nil
	}
}

// hurries reports whether unproved puts wait no longer: the lane is closed, or half
// full of them.
func (l *lane) hurries() bool { return l.closed || len(l.unproved) > l.size/2 }

// first returns the first of a list that still waits, nil if none does.
func (l *lane) first(list *[]*write) *write {
	for len(*list) > 0 {
		if op := (*list)[0]; l.waits[op.key] == op {
			return op
		}
		shift(list)
	}
	return nil
}

func shift(list *[]*write) *write {
	op := (*list)[0]
	(*list)[0] = nil // for the garbage collector
	*list = (*list)[1:]
	return op
}

// pause returns how long the lane may sleep, 0 for until the next write comes.
func (l *lane) pause(now time.Time) time.Duration {
	if len(l.failed) > 0 {
		return max(l.retryAt.Sub(now), 1)
	}
	return 0
}

// An outcome is what became of a write that was begun.
type outcome uint8

const (
	over    outcome = iota
	settled         // over, and nobody finds the session any more
	again           // failed, and must be made again
)

// made ends the write that take returned. A removal that failed comes again after a
// pause, or as soon as another write is over.
func (l *lane) made(op *write, how outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = nil
	if how == again {
		l.enter(op)
		l.failed = append(l.failed, op)
		if len(l.failed) == 1 {
			l.retryAt = time.Now().Add(l.retryPause())
		}
		return
	}
	if how == settled { // under the lock: a removal that comes now is not settled by this one
		l.stones.Settle(op.key)
	}
	close(op.done)
	l.retry(time.Now())
}

// retry makes the first failed removal ready.
func (l *lane) retry(now time.Time) {
	l.retryAt = now.Add(l.retryPause())
	if l.first(&l.failed) != nil {
		l.ready = append(l.ready, shift(&l.failed))
	}
}

func (l *lane) retryPause() time.Duration {
	if l.closed {
		return closePause
	}
	return retryPause
}

// underway returns the value that waits to be put under key or is being put, or nil.
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

// claim takes the put that waits for key out of the queue, so that its value is the
// caller's alone. If that put is being made, claim returns a channel that is closed when
// it is over.
func (l *lane) claim(key Key) (op *write, running <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if op = l.waits[key]; op != nil && op.isPut() {
		l.leave(op)
		return op, nil
	}
	if l.running != nil && l.running.key == key && l.running.isPut() {
		return nil, l.running.done
	}
	return nil, nil
}

// count returns how many writes wait.
func (l *lane) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waits)
}

func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.retryAt = time.Time{}
	l.signal()
}
