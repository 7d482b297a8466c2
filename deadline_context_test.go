package halfshake

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A callback's context ends with its deadline, with the handshake's context and with the
// callback, whether or not somebody waited for it, and so do contexts made from it.
func TestCallbackContext(t *testing.T) {
	for _, waits := range []bool{false, true} {
		for name, test := range map[string]struct {
			end  func(cancel context.CancelFunc, c *callbackContext)
			want error
		}{
			"deadline":  {func(context.CancelFunc, *callbackContext) { time.Sleep(time.Second) }, context.DeadlineExceeded},
			"handshake": {func(cancel context.CancelFunc, _ *callbackContext) { cancel() }, context.Canceled},
			"callback":  {func(_ context.CancelFunc, c *callbackContext) { c.end() }, context.Canceled},
		} {
			synctest.Test(t, func(t *testing.T) {
				type key struct{}
				parent, cancel := context.WithCancel(context.WithValue(context.Background(), key{}, name))
				defer cancel()
				c := withDeadline(parent, time.Second)
				defer c.end()
				if deadline, ok := c.Deadline(); !ok || time.Until(deadline) != time.Second || c.Value(key{}) != name || c.Err() != nil {
					t.Errorf("at first: %v, %v, %v", deadline, c.Value(key{}), c.Err())
				}
				var child context.Context
				if waits {
					var stop context.CancelFunc
					child, stop = context.WithCancel(c)
					defer stop()
				}
				test.end(cancel, c)
				synctest.Wait()
				if c.Err() != test.want || waits && child.Err() != test.want || c.Value(key{}) != name {
					t.Errorf("%s, somebody waits %v: %v", name, waits, c.Err())
				}
				select {
				case <-c.Done():
				default:
					t.Errorf("%s, somebody waits %v: not done", name, waits)
				}
			})
		}
	}
}
