package proxy

import (
	"sync"
	"sync/atomic"
	"time"
)

// An idle calls a function when touch has not been called for some time. A nil *idle never
// calls it.
type idle struct {
	begun  time.Time
	last   atomic.Int64 // time of the last touch, since begun
	expire func()

	mu      sync.Mutex
	limit   time.Duration
	timer   *time.Timer
	stopped bool
}

// newIdle returns an idle that calls expire at most once, in its own goroutine. A limit
// that is not positive means no limit.
func newIdle(limit time.Duration, expire func()) *idle {
	if limit <= 0 {
		return nil
	}
	i := &idle{begun: time.Now(), limit: limit, expire: expire}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.timer = time.AfterFunc(limit, i.check)
	return i
}

// touch records activity. It is called for every read and write, so it does not reset the
// timer.
func (i *idle) touch() {
	if i != nil {
		i.last.Store(int64(time.Since(i.begun)))
	}
}

func (i *idle) check() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.stopped {
		return
	}
	if left := i.left(); left > 0 {
		i.timer.Reset(left)
		return
	}
	i.stopped = true
	go i.expire()
}

func (i *idle) left() time.Duration {
	return i.limit - (time.Since(i.begun) - time.Duration(i.last.Load()))
}

// shorten lowers the limit from now on.
func (i *idle) shorten(limit time.Duration) {
	if i == nil {
		return
	}
	i.touch()
	i.mu.Lock()
	defer i.mu.Unlock()
	if limit < i.limit && !i.stopped {
		i.limit = limit
		i.timer.Reset(limit)
	}
}

// stop stops the timer. It does not wait for a call of expire that has begun.
func (i *idle) stop() {
	if i == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.stopped = true
	i.timer.Stop()
}
