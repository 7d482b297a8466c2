package deepstack

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
)

// A goroutine that has called one of them has the room.
func TestGrow(t *testing.T) {
	const goroutines = 1000
	before := stacks(goroutines, func() {})
	for name, step := range map[string]struct {
		grow func() byte
		size uint64
	}{"ForTLS12": {ForTLS12, 8 << 10}, "ForTLS13": {ForTLS13, 16 << 10}} {
		after := stacks(goroutines, func() { step.grow() })
		if want := goroutines * step.size; after < want || after > want+2*before {
			t.Errorf("%s: %d goroutines have %d bytes of stacks, and %d before; want %d", name, goroutines, after, before, want)
		}
		if n := testing.AllocsPerRun(100, func() { step.grow() }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// stacks returns the bytes of all stacks while so many goroutines have called f.
func stacks(goroutines int, f func()) uint64 {
	runtime.GC() // gives back what the goroutines of the last step had
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
