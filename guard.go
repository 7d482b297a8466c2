package halfshake

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A callback is one of the application's functions, as the log names it.
type callback uint8

const (
	callbackNewID callback = iota
	callbackNew
	callbackGet
	callbackFind
	callbackRemove
	callbackEnd
	callbackAdmit
	callbackFloor
	callbackAuthorize
	callbackAnnotate
	callbackVerifyPeerCertificate
	callbackTrustID
	callbackEngineChoice
	endOfCallbacks
)

var callbackNames = [endOfCallbacks]string{
	callbackNewID: "NewID", callbackNew: "New", callbackGet: "Get", callbackFind: "Find", callbackRemove: "Remove", callbackEnd: "End",
	callbackAdmit: "Admit", callbackFloor: "Floor", callbackAuthorize: "Authorize", callbackAnnotate: "Annotate", callbackVerifyPeerCertificate: "VerifyPeerCertificate",
	callbackTrustID: "TrustID", callbackEngineChoice: "the choice of an engine",
}

// guard calls a function of the application and turns a panic into an error. It counts
// and logs a failure. id is the session that the call is about.
func (c *Cache) guard(which callback, id string, call func() error) error {
	err := c.attempt(which, id, call)
	if err != nil {
		c.counters.refuse(RefusedCallback)
	}
	return err
}

// attempt is guard for a failure that the caller counts.
func (c *Cache) attempt(which callback, id string, call func() error) error {
	err := recovered(call)
	if err == nil {
		c.health[which].succeeded(c, which)
		return nil
	}
	c.health[which].failed(c, which, id, err)
	return fmt.Errorf("halfshake: the %s callback failed: %w", callbackNames[which], err)
}

// recovered runs call and turns a panic into an error.
func recovered(call func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return call()
}

// failureInterval is how often the failures of one callback are logged.
const failureInterval = 10 * time.Second

// health tracks the failures of one callback, so that a failing database does not log a
// line for each handshake.
type health struct {
	failing atomic.Bool

	mu     sync.Mutex
	count  int       // failures since the last line
	logged time.Time // when the last line about failures was logged
	told   bool      // a failure was logged, and no recovery since
}

func (h *health) failed(c *Cache, which callback, id string, err error) {
	h.failing.Store(true)
	if n := h.countFailure(); n > 0 {
		c.logFailing(which, n, withoutID(err.Error(), id))
	}
}

// countFailure returns how many failures to log; 0 means to log nothing now.
func (h *health) countFailure() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count++
	if time.Since(h.logged) < failureInterval {
		return 0
	}
	n, h.count, h.logged, h.told = h.count, 0, time.Now(), true
	return n
}

func (h *health) succeeded(c *Cache, which callback) {
	if h.failing.Load() && h.recover() {
		c.logWorksAgain(which)
	}
}

// recover reports whether to log that the callback works again.
func (h *health) recover() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.failing.Swap(false) {
		return false
	}
	told := h.told
	h.told = false
	return told
}
