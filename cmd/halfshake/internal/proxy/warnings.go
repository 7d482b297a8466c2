package proxy

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// logEvery is the shortest interval between log lines about a failing backend.
const logEvery = time.Second

// warnings logs failures of the backend. It logs the first at once, and then at most one
// line a second. Each line says how many failures were omitted before it.
type warnings struct {
	log *slog.Logger // with the backend's URL

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

// warn logs a failure and its cause. The cause must come from [reason] or, like its results,
// not quote the backend's answer.
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

// reason says why the backend failed. It quotes only network errors: in other errors,
// net/http quotes the backend's answer.
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
	return "its answer is not HTTP, or its header is too large"
}

// isNetwork reports whether connecting failed or the connection broke.
func isNetwork(err error) bool {
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
