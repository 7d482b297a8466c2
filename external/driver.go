package external

import (
	"fmt"
	"sync"
	"time"
)

// guarded calls the driver and turns a panic in it into an error, so that it does not
// fail a handshake or end the process.
func guarded(call func() ([]byte, error)) (value []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			value, err = nil, fmt.Errorf("the store's driver panicked: %v", p)
		}
	}()
	return call()
}

// waitUntil waits for the group, up to limit, and reports whether it is done.
func waitUntil(group *sync.WaitGroup, limit time.Duration) bool {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
