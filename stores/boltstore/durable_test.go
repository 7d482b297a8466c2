package boltstore

import (
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// crashed returns the store that another process would find if this process or the machine
// crashed now.
func (r *rig) crashed() *rig {
	r.Helper()
	copied := &rig{TB: r.TB, path: filepath.Join(r.TempDir(), "copy.db")}
	from, err := os.Open(r.path)
	if err != nil {
		r.Fatal(err)
	}
	defer from.Close()
	to, err := os.Create(copied.path)
	if err != nil {
		r.Fatal(err)
	}
	defer to.Close()
	if _, err := io.Copy(to, from); err != nil {
		r.Fatal(err)
	}
	copied.reopen(Config{})
	r.Cleanup(func() { copied.Store.Close() })
	return copied
}

// TestDurableOnReturn checks that all operations other than Put return only after their
// commit.
func TestDurableOnReturn(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	ctx := t.Context()
	v := value(100)
	for n := range 4 {
		r.put(key(n), v)
	}
	r.flush(t)
	if err := r.Delete(ctx, key(0)); err != nil {
		t.Fatal(err)
	}
	r.crashed().wantAbsent(key(0))
	if _, err := r.Take(ctx, key(1)); err != nil {
		t.Fatal(err)
	}
	r.crashed().wantAbsent(key(1))

	r.put(key(2), value(10)) // the file has an older value
	if _, err := r.Take(ctx, key(2)); err != nil {
		t.Fatal(err)
	}
	r.crashed().wantAbsent(key(2))
	r.crashed().want(key(3), v)

	if err := r.CompareAndSwap(ctx, nil, []byte("log")); err != nil {
		t.Fatal(err)
	}
	if got, err := r.crashed().Load(ctx); string(got) != "log" {
		t.Errorf("the log is %q, %v", got, err)
	}
	if db := r.file.db; db.NoSync || db.NoGrowSync {
		t.Error("commits are not synced")
	}
}

// transactions returns how many commits the file has had.
func (r *rig) transactions() (n int) {
	r.Helper()
	tx, err := r.file.db.Begin(false)
	if err != nil {
		r.Fatal(err)
	}
	defer tx.Rollback()
	return tx.ID()
}

func TestCommitsAreShared(t *testing.T) {
	const entries = 500
	r := newRig(t, Config{})
	for n := range entries {
		r.put(key(n), value(100))
	}
	before := r.transactions()
	r.flush(t)
	if n := r.transactions() - before; n > 3 {
		t.Errorf("%d puts took %d commits", entries, n)
	}

	before = r.transactions()
	var takers sync.WaitGroup
	for n := range entries {
		takers.Go(func() {
			if _, err := r.Take(t.Context(), key(n)); err != nil {
				t.Error(err)
			}
		})
	}
	takers.Wait()
	if n := r.transactions() - before; n > entries/2 {
		t.Errorf("%d takes took %d commits", entries, n)
	}
}

// TestWhatNeverReachedTheFileNeedsNoCommit takes sessions right after they are put, as for
// clients that return at once.
func TestWhatNeverReachedTheFileNeedsNoCommit(t *testing.T) {
	r := newRig(t, Config{})
	r.flush(t)
	before := r.transactions()
	for n := range 100 {
		r.put(key(2*n), value(100))
		r.put(key(2*n+1), value(100))
		if _, err := r.Take(t.Context(), key(2*n)); err != nil {
			t.Fatal(err)
		}
		if err := r.Delete(t.Context(), key(2*n+1)); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.transactions() - before; n > 1 {
		t.Errorf("%d commits", n)
	}
}
