package external

import (
	"log/slog"
	"sync"
	"time"
)

// A breaker keeps one kind of call from a store that does not answer. After some
// failures in a row it is open, and lets nothing through for a while; then one
// call tries, and its outcome closes the breaker or leaves it open for longer.
const (
	failuresToOpen = 5
	firstPause     = time.Second
	longestPause   = 10 * time.Second
)

type breaker struct {
	operation string // for the log
	log       *slog.Logger

	mu       sync.Mutex
	failures int           // in a row
	pause    time.Duration // of the next opening
	until    time.Time     // while open
	open     bool
	trying   bool // one call is under way while open
}

func newBreaker(operation string, log *slog.Logger) *breaker {
	return &breaker{operation: operation, log: log, pause: firstPause}
}

// allow reports whether a call may be made. The caller tells its outcome by one of
// the three methods below.
func (b *breaker) allow() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return true
	}
	if b.trying || time.Now().Before(b.until) {
		return false
	}
	b.trying = true
	return true
}

// succeeded says that the store answered, be it that it has no such entry.
func (b *breaker) succeeded() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open && b.log != nil {
		b.log.Info("session store answers again", "operation", b.operation)
	}
	b.open, b.trying, b.failures, b.pause = false, false, 0, firstPause
}

// failed says that the store answered with an error or not in time.
func (b *breaker) failed(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures++
	switch {
	case !b.open && b.failures >= failuresToOpen:
		b.open = true
		if b.log != nil {
			b.log.Warn("session store does not answer; handshakes go on without it",
				"operation", b.operation, "error", err.Error())
		}
	case !b.trying: // closed, or a call that was begun before it opened
		return
	}
	b.trying = false
	b.until = time.Now().Add(b.pause)
	b.pause = min(2*b.pause, longestPause)
}

// undecided says that the caller gave up before the store could answer.
func (b *breaker) undecided() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trying = false
}

// closed reports whether calls go through.
func (b *breaker) closed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.open
}
