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

// Each kind of write has its own room in a lane, so that a flood of one kind does not
// keep out another.
type kind uint8

const (
	// A removal is retried until it succeeds or its session has expired. A lane has room
	// for as many removals as there are tombstones.
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

// A lane is a queue of writes. It holds at most one write for each key, besides the write
// that is being made: a later write for a key replaces an earlier one.
type lane struct {
	size   int // room for each kind except removals
	stones *tombstone.Set[Key]
	wake   chan struct{} // holds one element while there may be something to do

	mu      sync.Mutex
	waits   map[Key]*write // every write that has not begun
	running *write
	// The lists hold the waiting writes, oldest first. A write in a list that is no
	// longer in waits is skipped.
	ready    []*write
	unproved []*write
	failed   []*write // removals to retry
	counts   [kinds]int
	pruneAt  int       // number of removals at which those without a tombstone are dropped
	proveAt  time.Time // when to look for proof again
	retryAt  time.Time // when to retry a failed removal
	turn     bool      // ready and unproved take turns
	closed   bool
}

const (
	// proofWait is how long an unproved session waits for its proof.
	proofWait = time.Second
	// proofInterval is how often a lane looks whether sessions have been proved.
	proofInterval = 100 * time.Millisecond
	// retryPause is how long an otherwise idle lane waits before it retries a failed
	// removal. closePause is the same after Close.
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

// addPut queues a put, and returns the put that it replaces. It returns false if the lane
// has no room, or has a removal of the same key, which always wins.
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
		if len(l.unproved) == 1 || l.hurries() {
			l.signal()
		}
		return old, true
	}
	l.ready = append(l.ready, op)
	l.signal()
	return old, true
}

// addDelete queues a removal or a cleanup. It returns the write that carries it out, or
// nil if there was no room, and the writes that will no longer be made. If a delete for
// the key is already queued, or a removal of the key is being made, that write also
// carries out the new one, because no put can follow it.
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

// prune drops the removals whose tombstones are gone: a floor has replaced them, or there
// was no room for them.
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

// compact drops the writes that no longer wait from the lists, once they outnumber those
// that do.
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

// next begins the next write. If none can begin yet, it returns how long to wait; 0 means
// until the next signal. It returns false if there will be no more writes.
func (l *lane) next(now time.Time) (op *write, pause time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.promote(now)
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

// promote makes the puts ready whose sessions have been proved.
func (l *lane) promote(now time.Time) {
	if len(l.unproved) == 0 || now.Before(l.proveAt) {
		return
	}
	l.proveAt = now.Add(proofInterval)
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

// pick takes the next write from its list. It returns nil if none may begin.
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

// hurries reports whether unproved puts should wait no longer: the lane is closed, or
// half full of them.
func (l *lane) hurries() bool { return l.closed || len(l.unproved) > l.size/2 }

// first returns the first write of a list that still waits, or nil.
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

// pause returns how long there is nothing to do; 0 means until the next write comes.
func (l *lane) pause(now time.Time) (d time.Duration) {
	if len(l.unproved) > 0 {
		d = max(min(l.proveAt.Sub(now), l.unproved[0].due.Sub(now)), 1)
	}
	if len(l.failed) > 0 {
		if retry := max(l.retryAt.Sub(now), 1); d == 0 || retry < d {
			d = retry
		}
	}
	return d
}

// An outcome is the result of a write that was begun.
type outcome uint8

const (
	over    outcome = iota
	settled         // over, and nobody can find the session any more
	again           // failed, and must be retried
)

// made ends the write that take returned. A failed removal is retried after a pause, or
// as soon as another write is over.
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
	if how == settled { // under the lock, so that this does not settle a later removal
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

// claim takes the put that waits for key out of the queue, so that only the caller has
// its value. If that put is already being made, claim returns a channel that is closed
// when it is over.
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
