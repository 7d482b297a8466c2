package storetest

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A tester is what the checks use of a *testing.T: see the package's comment for
// why it is so little.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Logf(format string, args ...any)
	FailNow()
}

func fatalf(t tester, format string, args ...any) {
	t.Helper()
	t.Errorf(format, args...)
	t.FailNow()
}

// each runs f with 0 to n-1, each in a goroutine of its own, all let go at one
// moment. It ends the test if one of them ended itself.
func each(t tester, n int, f func(t tester, i int)) {
	var failed atomic.Bool
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(worker{t, &failed}, i)
		})
	}
	close(start)
	wg.Wait()
	if failed.Load() {
		t.FailNow()
	}
}

// A worker is the tester of a goroutine, which may end nothing but itself.
type worker struct {
	tester
	failed *atomic.Bool
}

func (w worker) FailNow() {
	w.failed.Store(true)
	runtime.Goexit()
}

// opContext is the context of a call that nothing should keep waiting.
func opContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 10*time.Second)
}

// A budget is how long a check repeats itself: rounds of them, but a slow store
// is let off with fewer once time is up.
type budget struct {
	until time.Time
	least int64
	done  atomic.Int64
}

func newBudget(least int64) *budget {
	return &budget{until: time.Now().Add(3 * time.Second), least: least}
}

// spend reports whether another round is to be done.
func (b *budget) spend() bool {
	return b.done.Add(1) <= b.least || time.Now().Before(b.until)
}
