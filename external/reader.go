package external

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A reader reads from the store on behalf of handshakes. Each read has its own
// goroutine, because a handshake does not wait for a store that ignores its context.
// The number of reads in flight is bounded.
type reader struct {
	store    Store
	limit    time.Duration
	gets     *breaker
	takes    *breaker // separate: a store may be read-only
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
	log := logger{cfg.Logger}
	r := &reader{
		store: store, limit: orDefault(cfg.ReadLimit, DefaultReadLimit), counters: n,
		gets: newBreaker("read", log), takes: newBreaker("take", log),
		places: make(chan struct{}, orDefault(cfg.MaxReads, DefaultMaxReads)),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// get asks the store for a value, and returns no later than the limit.
func (r *reader) get(ctx context.Context, key Key) ([]byte, error) {
	return r.ask(ctx, r.gets, func(ctx context.Context) ([]byte, error) { return r.store.Get(ctx, key) })
}

// take takes a value from the store, and returns no later than the limit. Even after an
// error the value may be gone.
func (r *reader) take(ctx context.Context, key Key) ([]byte, error) {
	return r.ask(ctx, r.takes, func(ctx context.Context) ([]byte, error) { return r.store.Take(ctx, key) })
}

type answer struct {
	value []byte
	err   error
}

// ask makes one call, within the limits. It counts each outcome except a value and
// ErrNotFound.
func (r *reader) ask(ctx context.Context, b *breaker, call func(context.Context) ([]byte, error)) ([]byte, error) {
	attempt, allowed := b.allow()
	if !allowed {
		r.counters.readSkipped.Add(1)
		return nil, errSkipped
	}
	limited, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	answers := make(chan answer, 1)
	if !r.start(limited, call, answers) {
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
func (r *reader) start(ctx context.Context, call func(context.Context) ([]byte, error), answers chan<- answer) bool {
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
		value, err := guarded(func() ([]byte, error) { return call(ctx) })
		answers <- answer{value, err}
	})
	return true
}

// judge reports the answer to the breaker and counts a failure. If the handshake ran out
// of its own time, its client is gone, or close ended the read, the failure says nothing
// about the store.
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
		return errors.New("external: close: the store's driver ignores its context and has not ended its reads")
	}
	return nil
}
