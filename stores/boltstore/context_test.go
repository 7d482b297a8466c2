package boltstore

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake/external"
)

// hang makes commits wait, as on a disk that does not answer, until end is called.
func (r *rig) hang() (end func()) {
	r.Helper()
	tx, err := r.file.db.Begin(true)
	must(r, err)
	return func() { must(r, tx.Rollback()) }
}

func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// wantInTime checks that do returns the context's error soon after the context ends.
func wantInTime(t testing.TB, name string, do func(context.Context) error) {
	t.Helper()
	begin := time.Now()
	err := do(soon(t))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%s returned %v", name, err)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("%s took %v", name, took)
	}
}

func TestHungCommits(t *testing.T) {
	r := newRig(t, Config{MaxBytes: minMaxBytes})
	v := value(1000)
	for n := range 10 {
		r.put(key(n), v)
	}
	r.flush(t)
	old := []byte("old")
	must(t, r.CompareAndSwap(t.Context(), nil, old))
	end := r.hang()
	wantInTime(t, "Delete", func(ctx context.Context) error { return r.Delete(ctx, key(0)) })
	wantInTime(t, "Take", func(ctx context.Context) error { _, err := r.Take(ctx, key(1)); return err })
	wantInTime(t, "CompareAndSwap", func(ctx context.Context) error { return r.CompareAndSwap(ctx, old, v) })
	for n := range 2 {
		r.wantAbsent(key(n)) // all the same
	}
	if log, err := r.Load(t.Context()); !bytes.Equal(log, old) {
		t.Errorf("Load returned a log of %d bytes, %v, which a crash would take back", len(log), err)
	}
	r.want(key(2), v)

	// Memory is bounded: puts fill two batches, and then wait.
	stuck := func(ctx context.Context) error {
		for n := 100; n < 100+3*int(r.limits.batchBytes)/len(v); n++ {
			if err := r.Put(ctx, key(n), v, in(time.Hour), external.ClassUnproved); err != nil {
				return err
			}
		}
		return nil
	}
	wantInTime(t, "Put", stuck)
	if r.open.bytes > r.limits.batchBytes+2000 {
		t.Errorf("%d bytes wait, limit %d", r.open.bytes, r.limits.batchBytes)
	}
	r.want(key(100), v)

	// When a commit ends, the calls that wait for it return.
	waiting := make(chan error)
	go func() { waiting <- stuck(t.Context()) }()
	time.Sleep(20 * time.Millisecond)
	end()
	if err := <-waiting; err != nil {
		t.Error(err)
	}
	r.reopen(Config{})
	r.wantAbsent(key(0))
	r.wantAbsent(key(1))
	if log, err := r.Load(t.Context()); !bytes.Equal(log, v) {
		t.Error(len(log), err)
	}
}

func TestHungReads(t *testing.T) {
	r := newRig(t, Config{})
	r.put(key(1), numbered(1))
	r.flush(t)
	hung := make(chan answer)
	for range readers {
		r.requests <- request{r.file, slot{}, key(0), hung}
	}
	wantInTime(t, "Get", func(ctx context.Context) error { _, err := r.Get(ctx, key(1)); return err })
	wantInTime(t, "Take", func(ctx context.Context) error { _, err := r.Take(ctx, key(1)); return err })
	r.wantAbsent(key(2)) // this needs no read
	for range readers {
		<-hung
	}
	r.want(key(1), numbered(1))
}

// TestHungRead has a read that hangs in bbolt, behind a Close that waits for a transaction
// to end, and then a file that is closed.
func TestHungRead(t *testing.T) {
	r := newRig(t, Config{})
	r.put(key(1), numbered(1))
	r.flush(t)
	must(t, r.CompareAndSwap(t.Context(), nil, []byte("log")))
	db := r.file.db
	tx, err := db.Begin(false)
	must(t, err)
	closed := make(chan error)
	go func() { closed <- db.Close() }()
	time.Sleep(20 * time.Millisecond)
	wantInTime(t, "Get", func(ctx context.Context) error { _, err := r.Get(ctx, key(1)); return err })
	must(t, tx.Rollback())
	must(t, <-closed)
	r.wantReplaced()
}

// TestCloseEndsWaits has calls that wait for a commit that never happens.
func TestCloseEndsWaits(t *testing.T) {
	r := newRig(t, Config{})
	for n := range 10 {
		r.put(key(n), value(10))
	}
	r.flush(t)
	end := r.hang()
	waiting := make(chan error, 10)
	for n := range 10 {
		go func() { waiting <- r.Delete(context.Background(), key(n)) }()
	}
	time.Sleep(20 * time.Millisecond)
	closed := make(chan error)
	go func() { closed <- r.Store.Close() }()
	time.Sleep(20 * time.Millisecond)
	end()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	for range 10 {
		if err := <-waiting; err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
	r.reopen(Config{})
	for n := range 10 {
		r.wantAbsent(key(n))
	}
}

// TestErrorsNameNoKey checks that an error contains only the short form of the key.
func TestErrorsNameNoKey(t *testing.T) {
	r := newRig(t, Config{})
	k := key(0x1234567)
	_, err := r.Get(t.Context(), k)
	if err == nil || !strings.Contains(err.Error(), k.String()) || strings.Contains(err.Error(), string(k[:])) {
		t.Error(err)
	}
}
