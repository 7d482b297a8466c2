package deepstack

import (
	"runtime/metrics"
	"sync"
	"testing"
)

// A goroutine that has called Grow has the room.
func TestGrow(t *testing.T) {
	const goroutines = 1000
	before := stacks(goroutines, func() {})
	after := stacks(goroutines, func() { Grow() })
	if after < before+goroutines*(3<<10) {
		t.Errorf("%d goroutines have %d bytes of stacks, and %d after Grow", goroutines, before, after)
	}
	if n := testing.AllocsPerRun(100, func() { Grow() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// stacks returns the bytes of all stacks while so many goroutines have called f.
func stacks(goroutines int, f func()) uint64 {
	var called, ended sync.WaitGroup
	leave := make(chan struct{})
	called.Add(goroutines)
	for range goroutines {
		ended.Go(func() {
			f()
			called.Done()
			<-leave
		})
	}
	called.Wait()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(sample)
	close(leave)
	ended.Wait()
	return sample[0].Value.Uint64()
}
