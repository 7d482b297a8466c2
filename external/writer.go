package external

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/halfshake/halfshake"
)

// A writer makes the writes, off the handshakes' path. It has some lanes, each with a
// goroutine and a queue. All writes of a key go by one lane, one after the other, so
// the last that was asked for is the last that is made.
//
// A put is tried once: one that failed may have happened, and made again it could
// bring back what another machine has removed since. A removal is made again until it
// succeeds or its session has expired.
type writer struct {
	store    Store
	removed  *removals
	puts     *breaker
	deletes  *breaker // separate: a store may take puts and refuse deletes
	counters *counters
	ctx      context.Context
	cancel   context.CancelFunc
	lanes    [laneCount]lane
	bytes    atomic.Int64  // of the values in the lanes
	lost     atomic.Uint64 // puts that were dropped although their sessions are good
	unproved chan struct{} // holds one element while puts may wait for their proof
	closing  chan struct{} // closed by close
	running  sync.WaitGroup
}

// laneCount is how many writes are under way at most: enough for a database that is
// some milliseconds away, and for many removals to share a commit to the disk.
const laneCount = 32

func newWriter(store Store, cfg Config, removed *removals, n *counters) *writer {
	log := logger{cfg.Logger}
	w := &writer{store: store, removed: removed, counters: n, puts: newBreaker("put", log), deletes: newBreaker("delete", log)}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.unproved, w.closing = make(chan struct{}, 1), make(chan struct{})
	size := max(orDefault(cfg.QueueSize, DefaultQueueSize)/laneCount, 1)
	for i := range w.lanes {
		l := &w.lanes[i]
		l.init(size, removed.stones)
		w.running.Go(func() { w.work(l) })
	}
	w.running.Go(w.watchProofs)
	return w
}

// watchProofs wakes the lanes whose sessions have been proved, or have waited for that
// long enough, until close. One goroutine does so for all lanes: a timer for each would
// cost more than the puts.
func (w *writer) watchProofs() {
	for {
		select {
		case <-w.unproved:
		case <-w.closing:
			return
		}
		for waiting := true; waiting; {
			timer := time.NewTimer(proofInterval)
			select {
			case <-timer.C:
			case <-w.closing:
				timer.Stop()
				return
			}
			waiting = false
			now := time.Now()
			for i := range w.lanes {
				waiting = w.lanes[i].lookForProof(now) || waiting
			}
		}
	}
}

func (w *writer) lane(key Key) *lane { return &w.lanes[key[0]%laneCount] }

// newPut returns a put of what s was sealed to.
func newPut(key Key, value []byte, s *halfshake.Session, proved func(*halfshake.Session) bool) *write {
	op := &write{key: key, expires: s.Expires(), done: make(chan struct{}), value: value, session: s, proved: proved, kind: provedPut}
	if !proved(s) {
		op.kind, op.due = unprovedPut, time.Now().Add(proofWait)
	}
	return op
}

// put queues a put, and reports whether there was room for it.
func (w *writer) put(op *write) bool {
	n := int64(len(op.value))
	if w.bytes.Add(n) > maxQueueBytes {
		w.abandon(op)
		return false
	}
	waits := op.kind == unprovedPut && !op.due.IsZero()
	replaced, ok := w.lane(op.key).addPut(op)
	if waits {
		select {
		case w.unproved <- struct{}{}:
		default:
		}
	}
	if replaced != nil {
		w.abandon(replaced)
	}
	if !ok {
		w.abandon(op)
	}
	return ok
}

// delete queues a delete of that kind. It returns what is closed when the delete, or
// one that stands for it, is over, and nil if there was no room for it.
func (w *writer) delete(key Key, kind kind, expires time.Time) (over <-chan struct{}) {
	op := &write{key: key, kind: kind, expires: expires, done: make(chan struct{})}
	pending, gone := w.lane(key).addDelete(op)
	for _, g := range gone {
		w.abandon(g)
	}
	if pending == nil {
		w.counters.deleteDropped.Add(1)
		return nil
	}
	return pending.done
}

// claim takes the value that waits to be put under key, so that it never is, for one
// caller. It returns nil if there is none, or if it is being put: in that case claim
// waits until the put is over, for at most the limit.
func (w *writer) claim(ctx context.Context, limit time.Duration, key Key) (value []byte) {
	op, running := w.lane(key).claim(key)
	switch {
	case op != nil:
		value = op.value
		w.abandon(op)
	case running != nil:
		waitFor(ctx, running, limit)
	}
	return value
}

// abandon ends a write that is not in a lane and will not be made.
func (w *writer) abandon(op *write) {
	w.drop(op)
	op.value, op.session, op.proved = nil, nil, nil // a list of its lane may still hold op
	close(op.done)
}

// drop counts a write that will not be made.
func (w *writer) drop(op *write) {
	if op.isPut() {
		w.lost.Add(1)
	}
	w.dropNeedless(op)
}

// dropNeedless is drop for a write that nobody misses, because the session has been
// removed or has expired.
func (w *writer) dropNeedless(op *write) {
	if op.isPut() {
		w.bytes.Add(-int64(len(op.value)))
		w.counters.putDropped.Add(1)
	} else {
		w.counters.deleteDropped.Add(1)
	}
}

// underway returns the value that is on its way to key, nil if there is none.
func (w *writer) underway(key Key) []byte { return w.lane(key).underway(key) }

func (w *writer) waiting() (count int, bytes int64) {
	for i := range w.lanes {
		count += w.lanes[i].count()
	}
	return count, w.bytes.Load()
}

// work makes a lane's writes until it is closed and empty.
func (w *writer) work(l *lane) {
	for op := l.take(); op != nil; op = l.take() {
		l.made(op, w.carryOut(op))
	}
}

// carryOut makes one write, unless it has become needless.
func (w *writer) carryOut(op *write) outcome {
	switch {
	case w.ctx.Err() != nil:
		w.drop(op)
		return over
	case time.Now().After(op.expires):
		w.dropNeedless(op)
		return settled
	case op.isPut():
		w.carryOutPut(op)
		return over
	default:
		return w.carryOutDelete(op)
	}
}

func (w *writer) carryOutPut(op *write) {
	if w.removed.forbid(op.key, op.session) {
		w.dropNeedless(op)
		return
	}
	attempt, allowed := w.puts.allow()
	if !allowed {
		w.drop(op)
		return
	}
	err := w.call(attempt, func(ctx context.Context) error {
		return w.store.Put(ctx, op.key, op.value, op.expires, op.class())
	})
	w.bytes.Add(-int64(len(op.value)))
	if err != nil {
		w.counters.putFailed.Add(1)
		return
	}
	w.counters.put.Add(1)
}

// carryOutDelete does not ask the breaker once the writer is closing: there is no later
// occasion.
func (w *writer) carryOutDelete(op *write) outcome {
	failed := over
	if op.kind == removal {
		failed = again
		if !w.removed.stones.Holds(op.key) { // a floor has taken the tombstone's place
			w.drop(op)
			return over
		}
	}
	attempt, allowed := w.deletes.allow()
	if !allowed && !w.isClosing() {
		if failed == over {
			w.drop(op)
		}
		return failed
	}
	err := w.call(attempt, func(ctx context.Context) error { return w.store.Delete(ctx, op.key) })
	if err != nil {
		w.counters.deleteFailed.Add(1)
		return failed
	}
	w.counters.deleted.Add(1)
	return settled
}

// call makes a write at the store. One that does not end in its time counts as a
// failure then, but the lane waits for it: what comes next for the same key must come
// after it.
func (w *writer) call(a attempt, write func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(w.ctx, writeLimit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		if w.ctx.Err() == nil { // else it is close that ends the call
			a.failed(ctx.Err())
		}
	})
	_, err := guarded(func() ([]byte, error) { return nil, write(ctx) })
	inTime := stop()
	switch {
	case err == nil:
		a.succeeded()
	case inTime:
		a.failed(err)
	}
	return err
}

func (w *writer) isClosing() bool {
	select {
	case <-w.closing:
		return true
	default:
		return false
	}
}

// close makes what is queued, for at most closeLimit, and drops the rest.
func (w *writer) close() error {
	lost := w.lost.Load()
	close(w.closing)
	for i := range w.lanes {
		w.lanes[i].close()
	}
	if !waitUntil(&w.running, closeLimit) {
		w.cancel()
		if !waitUntil(&w.running, closeGraceTime) {
			return errors.New("external: close: the store's driver ignores its context and has not ended its writes")
		}
	}
	w.cancel()
	if n := w.lost.Load() - lost; n > 0 {
		return fmt.Errorf("external: close: %d new sessions were not stored", n)
	}
	return nil
}
