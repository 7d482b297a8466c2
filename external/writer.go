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

// A writer makes the writes in the background, so that handshakes do not wait. It has
// several lanes, each with a goroutine and a queue. All writes of a key go through the
// same lane, one after the other, so the last write requested is the last one made.
//
// A put is tried once. A failed put may have taken effect, and a second attempt could
// bring back a session that another machine has removed since. A removal is retried until
// it succeeds or its session has expired.
type writer struct {
	store    Store
	removed  *removals
	puts     *breaker
	deletes  *breaker // separate: a store may take puts and refuse deletes
	counters *counters
	ctx      context.Context
	cancel   context.CancelFunc
	lanes    [laneCount]lane
	bytes    atomic.Int64 // of the values in the lanes
	closing  atomic.Bool
	running  sync.WaitGroup
}

// laneCount limits the writes in flight. It is enough for a database some milliseconds
// away, and for removals from a database that commits each one to disk but can group
// several in a commit.
const laneCount = 32

func newWriter(store Store, cfg Config, removed *removals, n *counters) *writer {
	log := logger{cfg.Logger}
	w := &writer{store: store, removed: removed, counters: n, puts: newBreaker("put", log), deletes: newBreaker("delete", log)}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	size := max(orDefault(cfg.QueueSize, DefaultQueueSize)/laneCount, 1)
	for i := range w.lanes {
		l := &w.lanes[i]
		l.init(size, removed.stones)
		w.running.Go(func() { w.work(l) })
	}
	return w
}

func (w *writer) lane(key Key) *lane { return &w.lanes[key[0]%laneCount] }

// newPut returns a put of value, which is s sealed.
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
	replaced, ok := w.lane(op.key).addPut(op)
	if replaced != nil {
		w.abandon(replaced)
	}
	if !ok {
		w.abandon(op)
	}
	return ok
}

// delete queues a delete of the given kind. It returns a channel that is closed when the
// delete, or another that carries it out, is over. It returns nil if there was no room.
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

// claim takes the value that waits to be put under key out of the queue, so that only the
// caller has it. It returns nil if no value waits. If the value is being put, claim waits
// until that is over, for at most the limit, and returns nil.
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
		w.bytes.Add(-int64(len(op.value)))
		w.counters.putDropped.Add(1)
	} else {
		w.counters.deleteDropped.Add(1)
	}
}

// underway returns the value that waits to be put under key or is being put, or nil.
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

// carryOut makes one write, unless it is no longer needed.
func (w *writer) carryOut(op *write) outcome {
	switch {
	case w.ctx.Err() != nil:
		w.drop(op)
		return over
	case time.Now().After(op.expires):
		w.drop(op)
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
		w.drop(op)
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

// carryOutDelete ignores the breaker once the writer is closing, because it will get no
// later chance.
func (w *writer) carryOutDelete(op *write) outcome {
	failed := over
	if op.kind == removal {
		failed = again
		if !w.removed.stones.Holds(op.key) { // a floor has replaced the tombstone
			w.drop(op)
			return over
		}
	}
	attempt, allowed := w.deletes.allow()
	if !allowed && !w.closing.Load() {
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

// call makes a write to the store. A write that exceeds its time limit counts as a
// failure at that moment, but the lane still waits for it: the next write for the same
// key must come after it.
func (w *writer) call(a attempt, write func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(w.ctx, writeLimit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		if w.ctx.Err() == nil { // otherwise close ended the call
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

// close makes the queued writes, for at most closeLimit, and drops the rest.
func (w *writer) close() error {
	dropped := w.counters.putDropped.Load()
	w.closing.Store(true)
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
	if n := w.counters.putDropped.Load() - dropped; n > 0 {
		return fmt.Errorf("external: close: %d new sessions were not stored", n)
	}
	return nil
}
