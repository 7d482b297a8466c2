package halfshake

import (
	"context"
	"sync"
	"time"
)

// A lazyDeadline is the context of a handshake's callback. It starts a timer only once
// somebody waits for it: most callbacks answer without waiting for anything.
type lazyDeadline struct {
	context.Context // the handshake's
	deadline        time.Time

	mu     sync.Mutex
	timed  context.Context // made by Done
	cancel context.CancelFunc
	over   bool // the callback has returned
}

// withDeadline returns a context that ends after a time, or when end is called.
func withDeadline(parent context.Context, after time.Duration) *lazyDeadline {
	return &lazyDeadline{Context: parent, deadline: time.Now().Add(after)}
}

func (c *lazyDeadline) Deadline() (time.Time, bool) {
	if parent, ok := c.Context.Deadline(); ok && parent.Before(c.deadline) {
		return parent, true
	}
	return c.deadline, true
}

func (c *lazyDeadline) Done() <-chan struct{} { return c.withTimer().Done() }

func (c *lazyDeadline) Err() error {
	timed, over := c.state()
	if timed != nil {
		return timed.Err()
	}
	switch err := c.Context.Err(); {
	case err != nil:
		return err
	case over:
		return context.Canceled
	case !time.Now().Before(c.deadline):
		return context.DeadlineExceeded
	}
	return nil
}

// Value also tells package context which context to derive others from.
func (c *lazyDeadline) Value(key any) any {
	if timed, _ := c.state(); timed != nil {
		return timed.Value(key)
	}
	return c.Context.Value(key)
}

// end ends the context.
func (c *lazyDeadline) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.cancel != nil {
		c.cancel()
	}
}

// state returns the context with the timer, or nil if nobody waits, and whether end was
// called.
func (c *lazyDeadline) state() (timed context.Context, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.timed, c.over
}

func (c *lazyDeadline) withTimer() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.cancel = context.WithDeadline(c.Context, c.deadline)
		if c.over {
			c.cancel()
		}
	}
	return c.timed
}
