package storetest

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A tester has the methods of a *testing.T that the checks use: few, for the reason in
// the package's comment.
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

// each runs f with 0 to n-1, each in a goroutine of its own. All start at one moment. It
// ends the test if one of them ended itself.
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

// A worker is the tester of a goroutine, which can end only itself.
type worker struct {
	tester
	failed *atomic.Bool
}

func (w worker) FailNow() {
	w.failed.Store(true)
	runtime.Goexit()
}

// opContext returns a context for a call that should not wait for anything.
func opContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 10*time.Second)
}

// A budget limits how long a check repeats itself: until its time is up, but at least
// some rounds.
type budget struct {
	until time.Time
	least int64
	done  atomic.Int64
}

func newBudget(least int64) *budget {
	return &budget{until: time.Now().Add(3 * time.Second), least: least}
}

// spend reports whether to do another round.
func (b *budget) spend() bool {
	return b.done.Add(1) <= b.least || time.Now().Before(b.until)
}
