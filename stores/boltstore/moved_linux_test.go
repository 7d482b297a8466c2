package boltstore

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake/external"
)

// If the file is deleted while the store is open, the store logs that and starts a new
// file. Sessions put from then on outlive the process.
func TestDeletedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.db")
	var log bytes.Buffer
	s, err := Open(path, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	must(t, err)
	must(t, s.Put(t.Context(), key(1), numbered(1), in(time.Hour), external.ClassUnproved))
	s.flush(t)
	must(t, os.Remove(path))
	must(t, s.Put(t.Context(), key(2), numbered(2), in(time.Hour), external.ClassUnproved))
	s.flush(t)
	must(t, s.Close())
	if !strings.Contains(log.String(), "no longer at its path") {
		t.Errorf("the log says: %s", &log)
	}
	s, err = Open(path, quiet)
	must(t, err)
	defer func() { must(t, s.Close()) }()
	got, err := s.Get(t.Context(), key(2))
	if err != nil || !bytes.Equal(got, numbered(2)) {
		t.Errorf("a session put after the deletion: %v", err)
	}
}

// While commits fail, Put returns an error.
func TestPutSaysThatCommitsFail(t *testing.T) {
	dir := smallDisk(t, "8m")
	s, err := Open(filepath.Join(dir, "sessions.db"), quiet)
	must(t, err)
	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)
	until := in(10 * time.Second)
	for n := 0; s.Put(t.Context(), key(n), numbered(n), in(time.Hour), external.ClassUnproved) == nil; n++ {
		if time.Now().After(until) {
			t.Fatal("Put succeeds on a full disk")
		}
		time.Sleep(100 * time.Microsecond)
	}
	must(t, os.Remove(ballast))
	for until = in(10 * time.Second); s.Put(t.Context(), key(1), numbered(1), in(time.Hour), external.ClassUnproved) != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("Put still fails although the disk has space")
		}
	}
	must(t, s.Close())
}
