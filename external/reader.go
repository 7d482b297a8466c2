package external

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A reader reads from the store on behalf of handshakes. Each read is a goroutine
// of its own, because a handshake does not wait for a store that ignores its
// context; the number of them is bounded.
type reader struct {
	store    Store
	limit    time.Duration
	state    *breaker
	counters *counters
	places   chan struct{} // one element for each read in flight
	ctx      context.Context
	cancel   context.CancelFunc

	// starting keeps a read from starting while close looks at running.
	starting sync.Mutex
	running  sync.WaitGroup
}

var (
	errSkipped = errors.New("the store does not answer")
	errLimited = errors.New("too many reads are in flight")
)

func newReader(store Store, cfg Config, n *counters) *reader {
	r := &reader{
		store: store, limit: orDefault(cfg.ReadLimit, DefaultReadLimit), counters: n,
		state:  newBreaker("read", cfg.Logger),
		places: make(chan struct{}, orDefault(cfg.MaxReads, DefaultMaxReads)),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

type answer struct {
	value []byte
	err   error
}

// read asks the store once, and returns no later than the limit. Whatever is not a
// value or ErrNotFound has been counted when it returns.
func (r *reader) read(ctx context.Context, key Key) ([]byte, error) {
	attempt, allowed := r.state.allow()
	if !allowed {
		r.counters.readSkipped.Add(1)
		return nil, errSkipped
	}
	limited, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	answers := make(chan answer, 1)
	if !r.start(limited, key, answers) {
		attempt.undecided()
		r.counters.readLimited.Add(1)
		return nil, errLimited
	}
	select {
	case a := <-answers:
		return r.judge(ctx, attempt, a)
	case <-limited.Done():
		return r.judge(ctx, attempt, answer{err: limited.Err()})
	}
}

// start begins a read, unless all places are taken. The place is free again when
// the store has answered, however late.
func (r *reader) start(ctx context.Context, key Key, answers chan<- answer) bool {
	r.starting.Lock()
	defer r.starting.Unlock()
	if r.ctx.Err() != nil {
		return false
	}
	select {
	case r.places <- struct{}{}:
	default:
		return false
	}
	r.running.Go(func() {
		defer func() { <-r.places }()
		ctx, cancel := context.WithCancel(ctx)
		defer context.AfterFunc(r.ctx, cancel)()
		defer cancel()
		value, err := guarded(func() ([]byte, error) { return r.store.Get(ctx, key) })
		answers <- answer{value, err}
	})
	return true
}

// judge tells the breaker of the answer and counts a failure. A handshake that has
// run out of its own time, or whose client is gone, says nothing about the store;
// nor does one that close has ended.
func (r *reader) judge(ctx context.Context, made attempt, a answer) ([]byte, error) {
	switch {
	case a.err == nil && len(a.value) > 0:
		made.succeeded()
		return a.value, nil
	case a.err == nil || errors.Is(a.err, ErrNotFound):
		made.succeeded()
		return nil, ErrNotFound
	case ctx.Err() != nil || r.ctx.Err() != nil:
		made.undecided()
		r.counters.readFailed.Add(1)
		return nil, a.err
	default:
		made.failed(a.err)
		r.counters.readFailed.Add(1)
		return nil, a.err
	}
}

// close ends the reads that are in flight and waits for them.
func (r *reader) close() error {
	r.starting.Lock()
	r.cancel()
	r.starting.Unlock()
	if !waitUntil(&r.running, closeGraceTime) {
		return errors.New("external: the store has not ended its reads, though their context is done")
	}
	return nil
}

// guarded calls the driver and turns a panic in it into an error: a handshake does
// not fail for one.
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
