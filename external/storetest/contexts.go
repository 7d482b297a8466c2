package storetest

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/halfshake/halfshake/external"
)

// soon is how long a call may take after its context is done, on a busy machine.
const soon = 2 * time.Second

// storeOps are the operations of a store on key.
func storeOps(store external.Store, key external.Key, value []byte) map[Op]func(context.Context) ([]byte, error) {
	return map[Op]func(context.Context) ([]byte, error){
		Put: func(ctx context.Context) ([]byte, error) {
			return nil, store.Put(ctx, key, value, time.Now().Add(time.Hour), external.ClassUnproved)
		},
		Get:    func(ctx context.Context) ([]byte, error) { return store.Get(ctx, key) },
		Take:   func(ctx context.Context) ([]byte, error) { return store.Take(ctx, key) },
		Delete: func(ctx context.Context) ([]byte, error) { return nil, store.Delete(ctx, key) },
	}
}

// doneContexts returns a context that was cancelled, and one whose deadline has passed.
func doneContexts() map[string]context.Context {
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	late, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	cancel()
	return map[string]context.Context{"cancelled": cancelled, "late": late}
}

func checkDoneContext(p *probe) {
	for name, ctx := range doneContexts() {
		for _, op := range []Op{Put, Get, Take, Delete} {
			key, value := newKey(), newValue(100)
			p.put(key, value)
			_, err := promptly(ctx, p, op, storeOps(p.store, key, value)[op])
			wantContextError(p, op, name, err)
		}
	}
}

// wantContextError requires an error that does not claim that an existing entry is
// missing.
func wantContextError(t tester, op Op, name string, err error) {
	t.Helper()
	if err == nil {
		fatalf(t, "%v with a context that was %s already returned no error", op, name)
	}
	if errors.Is(err, external.ErrNotFound) || errors.Is(err, external.ErrConflict) {
		fatalf(t, "%v with a context that was %s already returned %v: it does not know", op, name, err)
	}
}

// promptly returns what call returns, and requires that it returns soon after its context
// is done.
func promptly(ctx context.Context, t tester, op Op, call func(context.Context) ([]byte, error)) ([]byte, error) {
	t.Helper()
	type result struct {
		value []byte
		err   error
	}
	returned := make(chan result, 1)
	go func() {
		value, err := call(ctx)
		returned <- result{value, err}
	}()
	<-ctx.Done()
	select {
	case r := <-returned:
		return r.value, r.err
	case <-time.After(soon):
		fatalf(t, "%v has not returned %v after its context was done", op, soon)
		return nil, nil
	}
}

// checkShortDeadline makes calls whose deadline passes while they run. After an error,
// the call may have taken effect or not; without one, it has.
func checkShortDeadline(p *probe) {
	const calls = 200
	p.spread(calls, func(p *probe, i int) {
		op := Op(i % 4)
		key := newKey()
		old, next := numbered(key, 1), numbered(key, 2)
		p.put(key, old)

		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i/4)*20*time.Microsecond)
		defer cancel()
		got, err := promptly(ctx, p, op, storeOps(p.store, key, next)[op])
		switch {
		case err != nil:
			p.wantOneOf(key, old, next)
		case op == Put:
			p.want(key, next)
		case op == Get:
			p.same(op, key, got, old)
		case op == Take:
			p.same(op, key, got, old)
			p.wantAbsent(key)
		case op == Delete:
			p.wantAbsent(key)
		}
	})
}

// wantOneOf requires that key has one of two values, or none.
func (p *probe) wantOneOf(key external.Key, a, b []byte) {
	p.Helper()
	got := p.get(key)
	if got != nil && !bytes.Equal(got, a) && !bytes.Equal(got, b) {
		fatalf(p, "Get(%v) returned %d bytes that were never put there", key, len(got))
	}
}
