package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake/external"
	"github.com/halfshake/halfshake/external/memstore"
)

func TestFaultyWithoutFaults(t *testing.T) {
	t.Parallel()
	open := func() *Faulty { return NewFaulty(memstore.New(memstore.Config{})) }
	t.Run("Store", func(t *testing.T) { Run(t, func(testing.TB) external.Store { return open() }) })
	t.Run("Log", func(t *testing.T) { RunLog(t, func(testing.TB) external.RevocationLog { return open() }) })
}

// A rig is a Faulty over a store that tells what was really done.
type rig struct {
	*Faulty
	truth *probe
	log   *logProbe
	key   external.Key
	value []byte // under key, unless a test changes it
	other []byte // under another
	first []byte // the log
}

func newRig(t *testing.T) *rig {
	store := memstore.New(memstore.Config{})
	r := &rig{
		Faulty: NewFaulty(store),
		truth:  &probe{t, store},
		log:    &logProbe{t, store},
		key:    newKey(),
		value:  newValue(100),
		other:  newValue(100),
		first:  newValue(100),
	}
	through := &probe{t, r.Faulty}
	through.put(newKey(), r.other)
	through.put(r.key, r.value)
	(&logProbe{t, r.Faulty}).wantSwap(nil, r.first)
	return r
}

var next = []byte("next")

// do makes one call.
func (r *rig) do(ctx context.Context, op Op) ([]byte, error) {
	switch op {
	case Load:
		return r.Load(ctx)
	case CompareAndSwap:
		return nil, r.CompareAndSwap(ctx, r.first, next)
	}
	return storeOps(r.Faulty, r.key, next)[op](ctx)
}

// wantDone holds that op has, or has not, happened to what is really stored.
func (r *rig) wantDone(t *testing.T, op Op, done bool) {
	t.Helper()
	switch {
	case !done || op == Get || op == Load:
		r.truth.want(r.key, r.value)
		r.log.want(r.first)
	case op == Put:
		r.truth.want(r.key, next)
	case op == CompareAndSwap:
		r.log.want(next)
	default:
		r.truth.wantAbsent(r.key)
	}
}

// Which faults fail, and which of those have happened.
func TestFaultsThatFail(t *testing.T) {
	for fault, done := range map[Fault]bool{
		Fail: false, FailDone: true, Hang: false, HangDone: true, ReadOnly: false, Full: false,
	} {
		for op := Put; op < ops; op++ {
			t.Run(fmt.Sprint(fault, "/", op), func(t *testing.T) {
				r := newRig(t)
				r.SetAll(fault)
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
				defer cancel()
				_, err := r.do(ctx, op)
				if !fault.befalls(op) {
					if err != nil || r.Injected(op) != 0 {
						t.Errorf("%v, %d faults", err, r.Injected(op))
					}
					return
				}
				want := ErrInjected
				if fault == Hang || fault == HangDone {
					want = context.DeadlineExceeded
				}
				if !errors.Is(err, want) {
					t.Errorf("the error is %v, want %v", err, want)
				}
				r.wantDone(t, op, done)
				if r.Injected(op) != 1 {
					t.Errorf("%d faults were injected", r.Injected(op))
				}
			})
		}
	}
}

func TestReleaseEndsHang(t *testing.T) {
	r := newRig(t)
	r.Set(Put, Hang)
	err := make(chan error)
	go func() {
		_, e := r.do(context.Background(), Put)
		err <- e
	}()
	r.wantHanging(t, 1)
	r.Release()
	if e := <-err; !errors.Is(e, ErrInjected) {
		t.Error(e)
	}
	r.wantDone(t, Put, false)
	r.wantHanging(t, 0)
}

func TestStuckIsDoneLate(t *testing.T) {
	for op := Put; op < ops; op++ {
		t.Run(op.String(), func(t *testing.T) {
			r := newRig(t)
			r.Set(op, Stuck)
			ctx, cancel := context.WithCancel(context.Background())
			err := make(chan error)
			go func() {
				_, e := r.do(ctx, op)
				err <- e
			}()
			r.wantHanging(t, 1)
			cancel()
			r.Heal() // ends nothing that hangs
			select {
			case e := <-err:
				t.Fatalf("it heeded its context: %v", e)
			case <-time.After(20 * time.Millisecond):
			}
			r.wantDone(t, op, false)
			r.Release()
			if e := <-err; e != nil {
				t.Error(e)
			}
			r.wantDone(t, op, true)
		})
	}
}

func (r *rig) wantHanging(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); r.Hanging() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d calls hang, want %d", r.Hanging(), n)
		}
	}
}

func TestPanic(t *testing.T) {
	for op := Put; op < ops; op++ {
		r := newRig(t)
		r.Set(op, Panic)
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%v did not panic", op)
				}
			}()
			r.do(context.Background(), op)
		}()
		r.wantDone(t, op, false)
	}
}

func TestDrop(t *testing.T) {
	for op := Put; op < ops; op++ {
		r := newRig(t)
		r.Set(op, Drop)
		_, err := r.do(context.Background(), op)
		if op.reads() && !errors.Is(err, external.ErrNotFound) || !op.reads() && err != nil {
			t.Errorf("%v: %v", op, err)
		}
		r.wantDone(t, op, false)
	}
}

func TestSpare(t *testing.T) {
	r := newRig(t)
	r.Set(Take, Spare)
	for range 2 {
		value, err := r.do(context.Background(), Take)
		if err != nil || !bytes.Equal(value, r.value) {
			t.Errorf("%d bytes, %v", len(value), err)
		}
	}
	r.wantDone(t, Take, false)
}

func TestDelay(t *testing.T) {
	r := newRig(t)
	r.SetDelay(Get, 30*time.Millisecond)
	began := time.Now()
	if _, err := r.do(context.Background(), Get); err != nil || time.Since(began) < 30*time.Millisecond {
		t.Errorf("%v after %v", err, time.Since(began))
	}

	r.SetDelay(Put, time.Hour)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := r.do(ctx, Put); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	r.wantDone(t, Put, false)

	r.Heal()
	if _, err := r.do(context.Background(), Put); err != nil {
		t.Error(err)
	}
	r.wantDone(t, Put, true)
}

func TestCounts(t *testing.T) {
	r := newRig(t)
	r.SetFunc(Randomly(7, 0.5, Fail, Drop))
	first := outcomes(r)
	r.SetFunc(Randomly(7, 0.5, Fail, Drop))
	if again := outcomes(r); again != first {
		t.Errorf("the same seed gave\n%s and\n%s", first, again)
	}
	if r.Calls(Get) != 128 || r.Injected(Get) != strings.Count(first, "!")*2 || r.Injected(Get) == 0 || r.Injected(Get) == 128 {
		t.Errorf("%d calls, %d faults, outcomes %s", r.Calls(Get), r.Injected(Get), first)
	}
}

func outcomes(r *rig) string {
	var b strings.Builder
	for range 64 {
		switch _, err := r.do(context.Background(), Get); {
		case errors.Is(err, ErrInjected):
			b.WriteString("!f ")
		case err != nil:
			b.WriteString("!d ")
		default:
			b.WriteString(". ")
		}
	}
	return b.String()
}

func TestFuncBeforeSet(t *testing.T) {
	r := newRig(t)
	r.Set(Get, Fail)
	r.SetFunc(func(op Op, key external.Key) Fault {
		if op == Get && key == r.key {
			return Drop
		}
		return None
	})
	if _, err := r.Get(t.Context(), r.key); !errors.Is(err, external.ErrNotFound) {
		t.Errorf("what the function chose is not what happened: %v", err)
	}
	if _, err := r.Get(t.Context(), newKey()); !errors.Is(err, ErrInjected) {
		t.Errorf("what was set is not what happened: %v", err)
	}
}

func TestFaultyFormat(t *testing.T) {
	r := newRig(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if got := fmt.Sprintf(verb, r.Faulty); got != "storetest.Faulty" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
}
