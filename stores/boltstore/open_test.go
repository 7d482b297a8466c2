//go:build unix

package boltstore

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/halfshake/halfshake/external"
)

// wantOpenError checks that Open fails at once with an error that contains all of words.
func wantOpenError(t *testing.T, path string, words ...string) {
	t.Helper()
	begin := time.Now()
	s, err := Open(path, quiet)
	if err == nil {
		s.Close()
		t.Fatalf("%s was opened", path)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("the error came after %v", took)
	}
	for _, word := range append(words, path) {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not say %q: %v", word, err)
		}
	}
	t.Log(err)
}

// TestNilLogger sets the default logger only after Open, because a nil Logger means
// the default at each line.
func TestNilLogger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.db")
	s, err := Open(path, Config{})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	before, output, flags := slog.Default(), log.Writer(), log.Flags()
	defer func() {
		slog.SetDefault(before)
		log.SetOutput(output)
		log.SetFlags(flags)
	}()
	var lines bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&lines, nil)))

	must(t, os.Remove(path))
	must(t, s.Put(t.Context(), key(1), numbered(1), in(time.Hour), external.ClassUnproved))
	s.flush(t)
	if !strings.Contains(lines.String(), "level=ERROR") || !strings.Contains(lines.String(), "no longer at its path") {
		t.Errorf("the default logger has %q", &lines)
	}
}

func TestOpenLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.db")
	c := startChild(t, "hold", path)
	wantOpenError(t, path, "it is open already", "fuser")
	c.kill()
	s, err := Open(path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	wantOpenError(t, path, "or in this one")
}

// A process that was just killed may hold the file for a moment.
func TestOpenWaitsForAKilledProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.db")
	c := startChild(t, "hold", path)
	var killing sync.WaitGroup
	killing.Go(func() {
		time.Sleep(100 * time.Millisecond) // well within lockPatience
		c.kill()
	})
	s, err := Open(path, quiet)
	killing.Wait()
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	wantOpenError(t, filepath.Join(dir, "no", "sessions.db"), "no directory "+dir+"/no", "mkdir -p")
	wantOpenError(t, dir, "not a regular file")
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	wantOpenError(t, pipe, "not a regular file")

	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantOpenError(t, filepath.Join(dir, "file", "sessions.db"), "not a directory")
	if names := namesIn(t, dir); len(names) != 2 {
		t.Errorf("the directory now has %v", names)
	}
}

func TestFileMode(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	r := newRig(t, Config{})
	info, err := os.Stat(r.path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("the file's mode is %v", info.Mode())
	}
	if names := namesIn(t, filepath.Dir(r.path)); len(names) != 1 {
		t.Errorf("the directory has other files: %v", names)
	}
}

// TestOpenAtOnce has many callers open a damaged file at once: exactly one sets it aside.
func TestOpenAtOnce(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "sessions.db")
		if err := os.WriteFile(path, value(100_000), 0o600); err != nil {
			t.Fatal(err)
		}
		var opened atomic.Int32
		var all sync.WaitGroup
		var last atomic.Pointer[Store]
		for range 8 {
			all.Go(func() {
				if s, err := Open(path, quiet); err == nil {
					opened.Add(1)
					last.Store(s)
				} else if !strings.Contains(err.Error(), "it is open already") {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := opened.Load(); n != 1 {
			t.Fatalf("%d callers opened it", n)
		}
		if err := last.Load().Put(context.Background(), key(1), value(1), in(time.Hour), external.ClassUnproved); err != nil {
			t.Error(err)
		}
		if err := last.Load().Close(); err != nil {
			t.Error(err)
		}
		if aside, err := asideOf(path); len(aside) != 1 {
			t.Errorf("set aside: %v, %v", aside, err)
		}
	}
}

// TestClaim sets a file aside after it was opened and before it is locked.
func TestClaim(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.db")
	f, err := openRegular(path)
	must(t, err)
	defer f.Close()
	must(t, os.Rename(path, path+".aside"))
	if ours, err := claim(f, path); ours || err != nil {
		t.Error("claim, with no file at the path:", ours, err)
	}
	must(t, os.WriteFile(path, nil, 0o600))
	if ours, err := claim(f, path); ours || err != nil {
		t.Error("claim, with another file at the path:", ours, err)
	}
	must(t, os.Rename(path+".aside", path))
	if ours, err := claim(f, path); !ours || err != nil {
		t.Error("claim, with the file back at the path:", ours, err)
	}
}

// TestOpenEmpty opens an empty file, which a crash leaves right after the file was created.
func TestOpenEmpty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wantWhole(t, path)
	if aside, err := asideOf(path); len(aside) != 0 || err != nil {
		t.Error(aside, err)
	}
}
