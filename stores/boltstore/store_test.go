package boltstore

import (
	"bytes"
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/halfshake/halfshake/external"
)

func TestMain(m *testing.M) {
	if role := os.Getenv("BOLTSTORE_CHILD"); role != "" {
		children[role]()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func TestEntriesOutliveTheStore(t *testing.T) {
	r := newRig(t, Config{})
	v := value(700)
	for n := range 100 {
		r.put(key(n), v)
	}
	r.want(key(5), v)
	r.flush(t)
	r.want(key(5), v)
	if err := r.Delete(t.Context(), key(6)); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Take(t.Context(), key(7)); err != nil || !bytes.Equal(got, v) {
		t.Fatal(got, err)
	}
	r.put(key(100), v) // Close commits it
	r.reopen(Config{})
	for n := range 101 {
		if n == 6 || n == 7 {
			r.wantAbsent(key(n))
		} else {
			r.want(key(n), v)
		}
	}
	if r.log.Len() > 0 {
		t.Errorf("the log has %s", &r.log)
	}
}

func TestPutReplacesUnderAnotherExpiry(t *testing.T) {
	r := newRig(t, Config{})
	for round := range 4 {
		v := value(100 + round)
		if err := r.Put(t.Context(), key(1), v, in(time.Duration(4-round)*time.Hour), external.ClassUnproved); err != nil {
			t.Fatal(err)
		}
		r.flush(t)
		r.want(key(1), v)
		r.reopen(Config{})
		r.want(key(1), v)
	}
	if n := len(r.index.slots); n != 1 {
		t.Errorf("the file has %d entries under one key", n)
	}
}

func TestPutThatHasExpiredDeletes(t *testing.T) {
	r := newRig(t, Config{})
	for _, flush := range []bool{false, true} {
		r.put(key(1), value(10))
		if flush {
			r.flush(t)
		}
		if err := r.Put(t.Context(), key(1), value(10), in(-time.Second), external.ClassUnproved); err != nil {
			t.Fatal(err)
		}
		r.wantAbsent(key(1))
		r.reopen(Config{})
		r.wantAbsent(key(1))
	}
}

func TestValueSizes(t *testing.T) {
	r := newRig(t, Config{})
	for _, size := range []int{0, external.MaxValueSize + 1} {
		err := r.Put(t.Context(), key(1), value(size), in(time.Hour), external.ClassUnproved)
		if err == nil {
			t.Errorf("a value of %d bytes was accepted", size)
		}
	}
	for _, size := range []int{1, external.MaxValueSize} {
		v := value(size)
		r.put(key(size), v)
		r.flush(t)
		r.want(key(size), v)
	}
}

func TestExtremeExpiries(t *testing.T) {
	r := newRig(t, Config{})
	v := value(10)
	for _, expires := range []time.Time{time.Unix(1<<40, 0), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)} {
		if err := r.Put(t.Context(), key(1), v, expires, external.ClassUnproved); err != nil {
			t.Fatal(err)
		}
		r.flush(t)
		r.want(key(1), v)
	}
	for _, expires := range []time.Time{{}, time.Unix(0, 0), time.Unix(-1<<40, 0)} {
		if err := r.Put(t.Context(), key(1), v, expires, external.ClassUnproved); err != nil {
			t.Fatal(err)
		}
		r.wantAbsent(key(1))
	}
}

func TestClosed(t *testing.T) {
	r := newRig(t, Config{})
	r.put(key(1), value(10))
	if err := r.Store.Close(); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	_, get := r.Get(ctx, key(1))
	_, take := r.Take(ctx, key(1))
	_, load := r.Load(ctx)
	for name, err := range map[string]error{
		"Put": r.Put(ctx, key(1), value(10), in(time.Hour), external.ClassUnproved), "Get": get, "Take": take,
		"Delete": r.Delete(ctx, key(1)), "Load": load, "CompareAndSwap": r.CompareAndSwap(ctx, nil, nil),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s returned %v after Close", name, err)
		}
	}
	if err := r.Store.Close(); err != nil {
		t.Errorf("a second Close returned %v", err)
	}
	r.reopen(Config{})
}

// TestConflictComesWithTheLog checks that the loser of a swap can at once load the log that
// won. It need not retry until the winner's commit is done.
func TestConflictComesWithTheLog(t *testing.T) {
	r := newRig(t, Config{})
	var old []byte
	for round := range byte(20) {
		var callers sync.WaitGroup
		for caller := range byte(8) {
			callers.Go(func() {
				err := r.CompareAndSwap(t.Context(), old, []byte{round, caller})
				log, loadErr := r.Load(t.Context())
				if bytes.Equal(log, old) || loadErr != nil || err != nil && !errors.Is(err, external.ErrConflict) {
					t.Errorf("round %d: CompareAndSwap returned %v, and Load then %x, %v", round, err, log, loadErr)
				}
			})
		}
		callers.Wait()
		var err error
		old, err = r.Load(t.Context())
		must(t, err)
	}
}

func TestRevocationLog(t *testing.T) {
	r := newRig(t, Config{})
	ctx := t.Context()
	if _, err := r.Load(ctx); !errors.Is(err, external.ErrNotFound) {
		t.Fatalf("Load returned %v without a log", err)
	}
	logs := [][]byte{nil, {}, value(100), value(external.MaxLogSize), value(3)}
	for i, next := range logs[1:] {
		for j, old := range logs {
			if j != i {
				if err := r.CompareAndSwap(ctx, old, next); !errors.Is(err, external.ErrConflict) {
					t.Fatalf("log %d was replaced as log %d: %v", i, j, err)
				}
			}
		}
		if err := r.CompareAndSwap(ctx, logs[i], next); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			r.reopen(Config{})
		}
		if got, err := r.Load(ctx); err != nil || !bytes.Equal(got, next) {
			t.Fatalf("Load returned %d bytes, %v, want %d", len(got), err, len(next))
		}
	}
	if err := r.CompareAndSwap(ctx, logs[4], value(external.MaxLogSize+1)); err == nil {
		t.Error("a log that is too long was accepted")
	}
}
