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

// An attempt is a call that a breaker has allowed. The caller tells its outcome by
// one of the three methods.
type attempt struct {
	*breaker
	trial bool // the one that is made while the breaker is open
}

// allow reports whether a call may be made.
func (b *breaker) allow() (a attempt, allowed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return attempt{b, false}, true
	}
	if b.trying || time.Now().Before(b.until) {
		return attempt{}, false
	}
	b.trying = true
	return attempt{b, true}, true
}

// succeeded says that the store answered, be it that it has no such entry.
func (a attempt) succeeded() {
	b := a.breaker
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open && b.log != nil {
		b.log.Info("session store answers again", "operation", b.operation)
	}
	b.open, b.trying, b.failures, b.pause = false, false, 0, firstPause
}

// failed says that the store answered with an error or not in time.
func (a attempt) failed(err error) {
	b := a.breaker
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
	case !b.open || !a.trial: // or it was begun before the breaker opened
		return
	}
	b.trying = false
	b.until = time.Now().Add(b.pause)
	b.pause = min(2*b.pause, longestPause)
}

// undecided says that the caller gave up before the store could answer.
func (a attempt) undecided() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.trial {
		a.trying = false
	}
}

// closed reports whether calls go through.
func (b *breaker) closed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.open
}
