package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/halfshake/halfshake/external"
)

// ErrInjected is wrapped by the errors of all faults but those of a context.
var ErrInjected = errors.New("storetest: injected fault")

// A Faulty is a store that passes each call on to another store, unless a fault was set
// for it:
//
//	f := storetest.NewFaulty(store)
//	f.Set(storetest.Get, storetest.Fail)
//
// It is safe for concurrent use. Faults may be set while calls are in progress, which go
// on as they began.
//
// What it makes up at random is the same in each run with the same calls. It remembers
// values to make wrong answers of; its formatted form shows none.
type Faulty struct {
	store external.Store

	mu       sync.Mutex // guards what follows
	faults   [ops]Fault
	delays   [ops]time.Duration
	choose   func(Op, external.Key) Fault
	calls    [ops]int
	injected [ops]int
	hanging  int
	released chan struct{} // closed to release the calls that hang
	memory   memory
}

var (
	_ external.Store = (*Faulty)(nil)
	_ fmt.Formatter  = (*Faulty)(nil)
)

// NewFaulty returns a store with no fault yet.
func NewFaulty(store external.Store) *Faulty {
	return &Faulty{store: store, released: make(chan struct{}), memory: newMemory()}
}

// Set sets the fault of every call of op from now on.
func (f *Faulty) Set(op Op, fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[op] = fault
}

// SetAll sets the fault of every call for which it makes sense.
func (f *Faulty) SetAll(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for op := range f.faults {
		f.faults[op] = fault
	}
}

// SetFunc sets a function that chooses the fault of each call. If it chooses [None], the
// fault of Set applies. The key is zero for the revocation log. One goroutine at a time
// calls choose, which must not call methods of the Faulty. A nil choose ends this.
func (f *Faulty) SetFunc(choose func(op Op, key external.Key) Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.choose = choose
}

// SetDelay makes each call of op wait for d before anything else. If its context is done
// before that, the call has no effect.
func (f *Faulty) SetDelay(op Op, d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delays[op] = d
}

// Heal ends all faults and delays. Calls that hang go on hanging.
func (f *Faulty) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults, f.delays, f.choose = [ops]Fault{}, [ops]time.Duration{}, nil
}

// Release releases the calls that hang now. Those of [Stuck] then take effect, and those
// of [Hang] and [HangDone] return [ErrInjected].
func (f *Faulty) Release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.released)
	f.released = make(chan struct{})
}

// Hanging returns how many calls hang now.
func (f *Faulty) Hanging() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hanging
}

// Calls returns how many calls of op were made, faulty or not.
func (f *Faulty) Calls(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// Injected returns how many calls of op were faulty; delays do not count. A test that
// relies on a fault should check that there was one.
func (f *Faulty) Injected(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.injected[op]
}

// Format implements [fmt.Formatter].
func (f *Faulty) Format(s fmt.State, _ rune) { io.WriteString(s, "storetest.Faulty") }

// Randomly returns a function for [Faulty.SetFunc] that chooses one of the faults for
// share of the calls, from 0 to 1, and None for the others.
func Randomly(seed uint64, share float64, faults ...Fault) func(Op, external.Key) Fault {
	random := rand.New(rand.NewPCG(seed, 0))
	return func(Op, external.Key) Fault {
		if random.Float64() >= share {
			return None
		}
		return faults[random.IntN(len(faults))]
	}
}

// Put implements [external.Store].
func (f *Faulty) Put(ctx context.Context, key external.Key, value []byte, expires time.Time, class external.Class) error {
	_, err := f.call(ctx, Put, key, func(ctx context.Context) ([]byte, error) {
		err := f.store.Put(ctx, key, value, expires, class)
		if err == nil {
			f.remember(func(m *memory) { m.put(key, value) })
		}
		return nil, err
	})
	return err
}

// Get implements [external.Store].
func (f *Faulty) Get(ctx context.Context, key external.Key) ([]byte, error) {
	return f.call(ctx, Get, key, func(ctx context.Context) ([]byte, error) { return f.store.Get(ctx, key) })
}

// Take implements [external.Store].
func (f *Faulty) Take(ctx context.Context, key external.Key) ([]byte, error) {
	return f.call(ctx, Take, key, func(ctx context.Context) ([]byte, error) { return f.store.Take(ctx, key) })
}

// Delete implements [external.Store].
func (f *Faulty) Delete(ctx context.Context, key external.Key) error {
	_, err := f.call(ctx, Delete, key, func(ctx context.Context) ([]byte, error) { return nil, f.store.Delete(ctx, key) })
	return err
}

// Load implements [external.Store].
func (f *Faulty) Load(ctx context.Context) ([]byte, error) {
	return f.call(ctx, Load, external.Key{}, f.store.Load)
}

// CompareAndSwap implements [external.Store].
func (f *Faulty) CompareAndSwap(ctx context.Context, old, next []byte) error {
	_, err := f.call(ctx, CompareAndSwap, external.Key{}, func(ctx context.Context) ([]byte, error) {
		err := f.store.CompareAndSwap(ctx, old, next)
		if err == nil {
			f.remember(func(m *memory) { m.swap(next) })
		}
		return nil, err
	})
	return err
}

func (f *Faulty) remember(note func(*memory)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	note(&f.memory)
}
