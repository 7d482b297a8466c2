package boltstore

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/halfshake/halfshake/external"
	"github.com/halfshake/halfshake/external/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) external.Store { return newRig(t, Config{}).Store })
}

func TestConformanceOfTheBound(t *testing.T) {
	t.Parallel()
	storetest.RunBounded(t, 5000, func(t testing.TB) external.Store {
		return newRigIn(t, quickDir(t), Config{MaxBytes: minMaxBytes}).Store
	})
}

func TestConformanceOfTheLog(t *testing.T) {
	t.Parallel()
	storetest.RunLog(t, func(t testing.TB) external.RevocationLog { return newRig(t, Config{}).Store })
}

func TestConformanceOverRestarts(t *testing.T) {
	t.Parallel()
	storetest.RunPersistent(t, func(t testing.TB, dir string) (external.Store, func()) {
		path := filepath.Join(dir, "sessions.db")
		s, err := Open(path, quiet)
		if err != nil {
			t.Fatal(err)
		}
		return s, func() {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			wantWhole(t, path)
		}
	})
}

// An eager store commits each Put before it returns, so that all other operations work on
// the file.
type eager struct{ *Store }

func (s eager) Put(ctx context.Context, key external.Key, value []byte, expires time.Time, class external.Class) error {
	if err := s.Store.Put(ctx, key, value, expires, class); err != nil {
		return err
	}
	s.mu.Lock()
	a := s.open.attempt
	s.mu.Unlock()
	return s.await(ctx, a)
}

func TestConformanceFromTheFile(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) external.Store { return eager{newRigIn(t, quickDir(t), Config{}).Store} })
}
