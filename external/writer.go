package external

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A writer carries writes to the store, off the handshakes' path. It has some
// lanes, each with a goroutine and a queue; a key's writes all go by one lane, one
// after the other, so the last that was asked for is the last that is made.
//
// A Put is tried once: one that failed may have happened, and made again it could
// bring back what another machine has removed since. A removal is made again until
// it succeeds or its session has expired.
type writer struct {
	store    Store
	puts     *breaker
	deletes  *breaker // apart: a store may take the one and refuse the other
	counters *counters
	ctx      context.Context
	cancel   context.CancelFunc
	lanes    [laneCount]lane
	bytes    atomic.Int64
	running  sync.WaitGroup

	// Puts that nobody waits for are gathered for a moment: to wake a goroutine
	// for each costs a server that has little to do more than to store it.
	gather    time.Duration
	gathering atomic.Bool // the alarm is set
	alarm     *time.Timer
}

const (
	// laneCount is how many writes are under way at most: enough for a database
	// that is some milliseconds away, and for removals from one that commits each
	// to the disk but lets some share a commit.
	laneCount = 32
	// gatherTime is for how long; nobody on another machine notices.
	gatherTime = 10 * time.Millisecond
	// retryPause is how long an idle lane waits before it tries a failed removal
	// again.
	retryPause = time.Second
)

// A write is a Put, or a Delete where value is nil.
type write struct {
	key     Key
	value   []byte
	expires time.Time
	done    chan struct{} // closed when it is over; nil if nobody waits
	last    bool          // a removal's last attempt
}

func (w *write) isDelete() bool { return w.value == nil }

func (w *write) over() {
	if w.done != nil {
		close(w.done)
	}
}

func newWriter(store Store, cfg Config, n *counters) *writer {
	w := &writer{store: store, counters: n, gather: gatherTime, puts: newBreaker("put", cfg.Logger), deletes: newBreaker("delete", cfg.Logger)}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.alarm = time.AfterFunc(time.Hour, w.wakeAll)
	w.alarm.Stop()
	size := max(orDefault(cfg.QueueSize, DefaultQueueSize)/laneCount, 1)
	for i := range w.lanes {
		l := &w.lanes[i]
		l.init(size)
		w.running.Go(func() { w.work(l) })
	}
	return w
}

func (w *writer) lane(key Key) *lane { return &w.lanes[key[0]%laneCount] }

// add queues a write, and reports whether there was room for it.
func (w *writer) add(op *write) bool {
	if n := int64(len(op.value)); w.bytes.Add(n) > maxQueueBytes && n > 0 {
		w.bytes.Add(-n)
		w.counters.putDropped.Add(1)
		return false
	}
	instead, ok := w.lane(op.key).add(op)
	if instead != nil && !instead.isDelete() {
		w.drop(instead)
		instead.over()
	}
	switch {
	case !ok:
		w.drop(op)
	case op.isDelete() || op.done != nil || w.gather == 0:
		w.lane(op.key).signal()
	case w.gathering.CompareAndSwap(false, true):
		w.alarm.Reset(w.gather)
	}
	return ok
}

// wakeAll ends a time of gathering.
func (w *writer) wakeAll() {
	w.gathering.Store(false)
	for i := range w.lanes {
		w.lanes[i].signal()
	}
}

// drop counts a write that will not be made.
func (w *writer) drop(op *write) {
	w.bytes.Add(-int64(len(op.value)))
	if op.isDelete() {
		w.counters.deleteDropped.Add(1)
	} else {
		w.counters.putDropped.Add(1)
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
		again := w.carryOut(op)
		l.made(op, again)
		if !again {
			op.over()
		}
	}
}

// carryOut makes one write, and reports whether it is to be made again.
func (w *writer) carryOut(op *write) (again bool) {
	switch {
	case time.Now().After(op.expires), w.ctx.Err() != nil:
		w.drop(op)
		return false
	}
	attempt, allowed := w.breaker(op).allow()
	switch {
	case !allowed:
		return w.givenUp(op)
	case w.call(op, attempt) == nil:
		w.succeeded(op)
		return false
	case op.isDelete():
		w.counters.deleteFailed.Add(1)
		return w.givenUp(op)
	default:
		w.bytes.Add(-int64(len(op.value)))
		w.counters.putFailed.Add(1)
		return false
	}
}

func (w *writer) breaker(op *write) *breaker {
	if op.isDelete() {
		return w.deletes
	}
	return w.puts
}

// givenUp drops a write that was not made, but for a removal whose turn will come
// again, and reports whether it is one.
func (w *writer) givenUp(op *write) (again bool) {
	if op.isDelete() && !op.last {
		return true
	}
	w.drop(op)
	return false
}

func (w *writer) succeeded(op *write) {
	w.bytes.Add(-int64(len(op.value)))
	if op.isDelete() {
		w.counters.deleted.Add(1)
	} else {
		w.counters.put.Add(1)
	}
}

// call makes the write at the store. One that does not end in its time counts as a
// failure then, but the lane waits for it: what comes next for the same key must
// come after it.
func (w *writer) call(op *write, a attempt) error {
	ctx, cancel := context.WithTimeout(w.ctx, writeLimit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		if w.ctx.Err() == nil { // else it is close that ends the call
			a.failed(ctx.Err())
		}
	})
	_, err := guarded(func() ([]byte, error) {
		if op.isDelete() {
			return nil, w.store.Delete(ctx, op.key)
		}
		return nil, w.store.Put(ctx, op.key, op.value, op.expires, ClassUnproved)
	})
	inTime := stop()
	switch {
	case err == nil || errors.Is(err, ErrNotFound) && op.isDelete():
		a.succeeded()
		return nil
	case inTime:
		a.failed(err)
	}
	return err
}

// close lets the lanes run dry, ends what is left, and says how much that was.
func (w *writer) close() error {
	before := w.counters.putDropped.Load() + w.counters.deleteDropped.Load()
	w.alarm.Stop()
	for i := range w.lanes {
		w.lanes[i].close()
	}
	if !waitUntil(&w.running, closeLimit) {
		w.cancel()
		if !waitUntil(&w.running, closeGraceTime) {
			return errors.New("external: the store has not ended its writes, though their context is done")
		}
	}
	w.cancel()
	if lost := w.counters.putDropped.Load() + w.counters.deleteDropped.Load() - before; lost > 0 {
		return fmt.Errorf("external: %d writes were not made before the end", lost)
	}
	return nil
}
