package proxy

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// logEvery is how often a failing backend is logged at most.
const logEvery = time.Second

// warnings log what is wrong with the backend: the first failure at once, and then
// at most one line a second, which says how many were left out before it.
type warnings struct {
	log *slog.Logger // at the backend's name

	mu      sync.Mutex
	last    time.Time
	omitted int
}

func newWarnings(log *slog.Logger, target Target) *warnings {
	return &warnings{log: orDiscard(log).With("backend", target.String())}
}

func orDiscard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}

// warn logs a failure and its cause, which is to be [reason]'s or as harmless.
func (w *warnings) warn(msg, cause string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now(); now.Sub(w.last) >= logEvery {
		w.log.Warn(msg, "cause", cause, "omitted", w.omitted)
		w.last, w.omitted = now, 0
		return
	}
	w.omitted++
}

// reason says in words why the backend failed. It repeats an error only where that
// is one of the network: net/http quotes the backend's answer in others.
func reason(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Error()
	}
	switch {
	case isTimeout(err):
		return "no answer within the time limit"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "it closed the connection"
	}
	return "its answer is not HTTP, or too large a header"
}

// isNetwork reports whether the network failed: no connection came about, or it broke.
func isNetwork(err error) bool {
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
