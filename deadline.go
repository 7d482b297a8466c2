package halfshake

import (
	"context"
	"sync"
	"time"
)

// A callbackContext is the context of a callback, with its deadline. It starts a timer
// only once somebody waits for it: most callbacks answer without waiting for anything.
type callbackContext struct {
	context.Context // the handshake's
	deadline        time.Time

	mu     sync.Mutex
	timed  context.Context // made by Done
	cancel context.CancelFunc
	over   bool // the callback has returned
}

// withDeadline returns a context that ends after a time, or when end is called.
func withDeadline(parent context.Context, after time.Duration) *callbackContext {
	return &callbackContext{Context: parent, deadline: time.Now().Add(after)}
}

func (c *callbackContext) Deadline() (time.Time, bool) {
	if parent, ok := c.Context.Deadline(); ok && parent.Before(c.deadline) {
		return parent, true
	}
	return c.deadline, true
}

func (c *callbackContext) Done() <-chan struct{} { return c.withTimer().Done() }

func (c *callbackContext) Err() error {
	if timed := c.timer(); timed != nil {
		return timed.Err()
	}
	switch err := c.Context.Err(); {
	case err != nil:
		return err
	case c.isOver():
		return context.Canceled
	case !time.Now().Before(c.deadline):
		return context.DeadlineExceeded
	}
	return nil
}

// Value also tells package context which context to derive others from.
func (c *callbackContext) Value(key any) any {
	if timed := c.timer(); timed != nil {
		return timed.Value(key)
	}
	return c.Context.Value(key)
}

// end ends the context.
func (c *callbackContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.cancel != nil {
		c.cancel()
	}
}

// timer returns the context with the timer, or nil if nobody waits.
func (c *callbackContext) timer() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.timed
}

func (c *callbackContext) isOver() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
}

func (c *callbackContext) withTimer() context.Context {
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
