package boltstore

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/halfshake/halfshake/external"
)

// smallDisk returns a directory on a disk of the given size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("only root can mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestFullDisk checks that no committed session is lost, that the error says why commits
// fail, and that the store recovers when the disk has space again.
func TestFullDisk(t *testing.T) {
	dir := smallDisk(t, "8m")
	path := filepath.Join(dir, "sessions.db")
	var log bytes.Buffer
	s, err := Open(path, Config{MaxBytes: minMaxBytes, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	must(t, err)
	defer func() { must(t, s.Close()); wantWhole(t, path) }()
	for n := range 500 {
		must(t, s.Put(t.Context(), key(n), numbered(n), in(time.Hour), external.ClassUnproved))
	}
	s.flush(t)
	must(t, s.CompareAndSwap(t.Context(), nil, []byte("log")))
	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	put := 500
	for ; err == nil; put++ {
		err = s.Put(ctx, key(put), numbered(put), in(time.Hour), external.ClassUnproved)
	}
	if !strings.Contains(err.Error(), "no space left") {
		t.Errorf("Put returned %v", err)
	}
	if err := s.Delete(t.Context(), key(0)); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("Delete returned %v", err)
	}
	for n := range 500 {
		got, err := s.Get(t.Context(), key(n))
		if (err != nil || !bytes.Equal(got, numbered(n))) && n > 0 {
			t.Fatalf("entry %d: %v", n, err)
		}
	}
	must(t, os.Remove(ballast))
	for deadline := in(10 * time.Second); s.Delete(t.Context(), key(1)) != nil; {
		if time.Now().After(deadline) {
			t.Fatal("the store does not recover when the disk has space")
		}
	}
	for n := 2; n < put-1; n++ {
		got, err := s.Get(t.Context(), key(n))
		if err != nil || !bytes.Equal(got, numbered(n)) {
			t.Fatalf("entry %d: %v", n, err)
		}
	}
	if _, err := s.Load(t.Context()); err != nil {
		t.Error(err)
	}
	for _, words := range []string{"cannot be written", "no space left", "written to the store's file again"} {
		if !strings.Contains(log.String(), words) {
			t.Errorf("the log does not say %q: %s", words, &log)
		}
	}
	if names := namesIn(t, dir); len(names) != 1 {
		t.Error(names)
	}
}

// fill writes a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
}

func TestOpenOnFullDisk(t *testing.T) {
	dir := smallDisk(t, "1m")
	fill(t, filepath.Join(dir, "ballast"))
	path := filepath.Join(dir, "sessions.db")
	wantOpenError(t, path, "no space left")
	must(t, os.Remove(filepath.Join(dir, "ballast")))
	s, err := Open(path, quiet)
	must(t, err)
	must(t, s.Close())
	if aside, err := asideOf(path); len(aside) > 0 || err != nil {
		t.Error(aside, err)
	}
}

func TestCloseOnFullDisk(t *testing.T) {
	dir := smallDisk(t, "4m")
	path := filepath.Join(dir, "sessions.db")
	s, err := Open(path, quiet)
	must(t, err)
	must(t, s.Put(t.Context(), key(1), numbered(1), in(time.Hour), external.ClassUnproved))
	s.flush(t)
	fill(t, filepath.Join(dir, "ballast"))
	for n := range 300 {
		must(t, s.Put(t.Context(), key(100+n), value(4000), in(time.Hour), external.ClassUnproved))
	}
	err = s.Close()
	if err == nil || !strings.Contains(err.Error(), "300 changes are lost") || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("Close returned %v", err)
	}
	wantWhole(t, path)
	must(t, os.Remove(filepath.Join(dir, "ballast")))
	s, err = Open(path, quiet)
	must(t, err)
	defer s.Close()
	if got, err := s.Get(t.Context(), key(1)); !bytes.Equal(got, numbered(1)) {
		t.Error(err)
	}
}
