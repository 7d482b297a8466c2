package storetest

import (
	"context"
	"fmt"
	"time"

	"github.com/halfshake/halfshake/external"
)

// call calls do, or injects the fault of this call.
func (f *Faulty) call(ctx context.Context, op Op, key external.Key, do func(context.Context) ([]byte, error)) ([]byte, error) {
	fault, delay, released := f.begin(op, key)
	if err := sleep(ctx, delay); err != nil {
		return nil, err
	}
	switch fault {
	case None:
		return do(ctx)
	case FailDone:
		do(ctx)
		return nil, injected(op, "done, but fails")
	case Hang:
		return nil, f.hang(ctx, op, released)
	case HangDone:
		do(ctx)
		return nil, f.hang(ctx, op, released)
	case Stuck:
		f.hang(context.Background(), op, released)
		return do(context.WithoutCancel(ctx))
	case Panic:
		panic(fmt.Sprintf("storetest: injected panic in %v", op))
	case ReadOnly:
		return nil, injected(op, "the store is read-only")
	case Full:
		return nil, injected(op, "the store is full")
	case Drop:
		return nil, dropped(op)
	case Spare:
		return f.store.Get(ctx, key)
	}
	if fault.forges() {
		value, err := do(ctx)
		return f.forge(fault, op, key, value, err)
	}
	return nil, injected(op, "fails")
}

// begin counts the call and returns its fault and delay.
func (f *Faulty) begin(op Op, key external.Key) (Fault, time.Duration, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[op]++
	fault := None
	if f.choose != nil {
		fault = f.choose(op, key)
	}
	if fault == None {
		fault = f.faults[op]
	}
	if !fault.befalls(op) {
		fault = None
	}
	if fault != None && !fault.forges() { // forge counts the others, if it makes one
		f.injected[op]++
	}
	return fault, f.delays[op], f.released
}

// hang waits until the context is done or the call is released.
func (f *Faulty) hang(ctx context.Context, op Op, released <-chan struct{}) error {
	f.addHanging(1)
	defer f.addHanging(-1)
	select {
	case <-ctx.Done():
		return fmt.Errorf("storetest: %v hung: %w", op, ctx.Err())
	case <-released:
		return injected(op, "hung")
	}
}

func (f *Faulty) addHanging(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hanging += n
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// dropped returns the answer to a call that has no effect.
func dropped(op Op) error {
	if op.reads() {
		return external.ErrNotFound
	}
	return nil
}

func injected(op Op, deed string) error {
	return fmt.Errorf("%w: %v %s", ErrInjected, op, deed)
}

// forge returns a wrong answer in place of the right one, or the right one if there is
// nothing to make a wrong one of.
func (f *Faulty) forge(fault Fault, op Op, key external.Key, value []byte, err error) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		value = nil
	}
	lie, ok := f.memory.forge(fault, op, key, value)
	if !ok {
		return value, err
	}
	f.injected[op]++
	return lie, nil
}
