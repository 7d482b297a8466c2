package external

import (
	"log/slog"
	"sync"
	"time"
)

const (
	failuresToOpen = 5
	firstPause     = time.Second
	longestPause   = 10 * time.Second
)

// A breaker stops one kind of call to a store that does not answer. After
// failuresToOpen failures in a row it opens. While it is open, no call is made. After
// each pause one call tries the store. If it succeeds, the breaker closes; otherwise it
// stays open for a longer pause.
type breaker struct {
	operation string // for the log
	log       logger

	mu       sync.Mutex
	failures int           // in a row
	pause    time.Duration // of the next opening
	until    time.Time     // while open
	open     bool
	trying   bool // one call is under way while open
}

func newBreaker(operation string, log logger) *breaker {
	return &breaker{operation: operation, log: log, pause: firstPause}
}

// An attempt is a call that a breaker was asked about. The caller reports its outcome
// with one of the three methods.
type attempt struct {
	*breaker
	trial bool // the one call that is made while the breaker is open
}

// allow reports whether a call may be made. A caller that makes the call anyway must also
// report its outcome.
func (b *breaker) allow() (a attempt, allowed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return attempt{b, false}, true
	}
	if b.trying || time.Now().Before(b.until) {
		return attempt{b, false}, false
	}
	b.trying = true
	return attempt{b, true}, true
}

// succeeded reports that the store answered, even if it has no such entry.
func (a attempt) succeeded() {
	if a.shut() {
		a.log.log(slog.LevelWarn, "session store answers again", slog.String("operation", a.operation))
	}
}

// failed reports that the store returned an error, or did not answer in time.
func (a attempt) failed(err error) {
	if a.count() {
		a.log.log(slog.LevelWarn, "session store does not answer; handshakes go on without it",
			slog.String("operation", a.operation), slog.String("error", err.Error()))
	}
}

// undecided reports that the caller gave up before the store could answer.
func (a attempt) undecided() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.trial {
		a.trying = false
	}
}

// shut closes the breaker, and reports whether it was open.
func (b *breaker) shut() (wasOpen bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wasOpen = b.open
	b.open, b.trying, b.failures, b.pause = false, false, 0, firstPause
	return wasOpen
}

// count counts a failure, and reports whether it opened the breaker.
func (a attempt) count() (opened bool) {
	b := a.breaker
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures++
	switch {
	case !b.open && b.failures >= failuresToOpen:
		b.open, opened = true, true
	case !b.open || !a.trial: // or the call began before the breaker opened
		return false
	}
	b.trying = false
	b.until = time.Now().Add(b.pause)
	b.pause = min(2*b.pause, longestPause)
	return opened
}

// closed reports whether calls go through.
func (b *breaker) closed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.open
}
