package boltstore

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/halfshake/halfshake/external"
)

// A rig is a store under test. When the test ends, it checks that the file is intact, with
// check and with bbolt.
type rig struct {
	testing.TB
	*Store
	path  string
	log   bytes.Buffer
	clock func() time.Time // time.Now if nil
}

func newRig(t testing.TB, cfg Config) *rig {
	t.Helper()
	return newRigIn(t, t.TempDir(), cfg)
}

func newRigIn(t testing.TB, dir string, cfg Config) *rig {
	t.Helper()
	r := &rig{TB: t, path: filepath.Join(dir, "sessions.db")}
	r.reopen(cfg)
	t.Cleanup(func() {
		if err := r.Store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		wantWhole(t, r.path)
	})
	return r
}

// quiet is the configuration of a store whose log a test does not read.
var quiet = Config{Logger: slog.New(slog.DiscardHandler)}

// quickDir returns a directory where fsync is fast, if there is one, for tests that make
// hundreds of commits.
func quickDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "boltstore")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// reopen opens the file. If it is already open, reopen closes it first.
func (r *rig) reopen(cfg Config) {
	r.Helper()
	if r.Store != nil {
		if err := r.Store.Close(); err != nil {
			r.Fatalf("Close: %v", err)
		}
	}
	cfg.Logger = slog.New(slog.NewTextHandler(&r.log, nil))
	if r.clock == nil {
		r.clock = time.Now
	}
	s, err := open(r.path, cfg, r.clock)
	if err != nil {
		r.Fatal(err)
	}
	r.Store = s
}

// wantWhole checks that the file at path is intact.
func wantWhole(t testing.TB, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := check(f); err != nil {
		t.Errorf("%s: %v", path, err)
	}
	db, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("%s: bbolt: %v", path, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// flush commits all pending changes.
func (s *Store) flush(t testing.TB) {
	t.Helper()
	for range 2 {
		s.mu.Lock()
		a := s.open.attempt
		s.mu.Unlock()
		if err := s.await(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *rig) fileSize() int64 {
	r.Helper()
	info, err := os.Stat(r.path)
	if err != nil {
		r.Fatal(err)
	}
	return info.Size()
}

func key(n int) (k external.Key) {
	binary.BigEndian.PutUint64(k[:], uint64(n)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(k[24:], uint64(n))
	return k
}

func value(size int) []byte {
	v := make([]byte, size)
	rand.Read(v)
	return v
}

func in(d time.Duration) time.Time { return time.Now().Add(d) }

func (r *rig) put(k external.Key, v []byte) {
	r.Helper()
	if err := r.Put(r.Context(), k, v, in(time.Hour), external.ClassUnproved); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) want(k external.Key, v []byte) {
	r.Helper()
	got, err := r.Get(r.Context(), k)
	if err != nil {
		r.Fatal(err)
	}
	if !bytes.Equal(got, v) {
		r.Fatalf("Get(%v) returned %d bytes, and not the %d put there", k, len(got), len(v))
	}
}

func (r *rig) wantAbsent(k external.Key) {
	r.Helper()
	if got, err := r.Get(r.Context(), k); !errors.Is(err, external.ErrNotFound) {
		r.Fatalf("Get(%v) returned %d bytes and %v, want ErrNotFound", k, len(got), err)
	}
}

func namesIn(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
