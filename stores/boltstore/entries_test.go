//go:build unix

package boltstore

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake/external"
)

// TestEntries reads a file of sessions, an expired one among them, from a file and a
// directory that nobody may write. A reader of the file does not disturb another.
func TestEntries(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sessions.db")
	clock := time.Now()
	s, err := open(path, quiet, func() time.Time { return clock })
	must(t, err)
	want := make(map[external.Key][]byte)
	for n := range 500 {
		want[key(n)] = numbered(n)
		must(t, s.Put(t.Context(), key(n), want[key(n)], clock.Add(time.Duration(1+n)*time.Minute), external.Class(n%classes)))
	}
	must(t, s.Close())
	before, err := os.ReadFile(path)
	must(t, err)
	must(t, os.Chmod(path, 0o400))
	other, err := os.Open(path)
	must(t, err)
	defer other.Close()
	must(t, lockShared(other))

	entries, err := Entries(path)
	must(t, err)
	for _, e := range entries {
		if !bytes.Equal(e.Value, want[e.Key]) {
			t.Fatalf("the value of %v differs", e.Key)
		}
		delete(want, e.Key)
	}
	if len(want) > 0 {
		t.Errorf("%d sessions are missing", len(want))
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
		t.Error("the file was changed:", err)
	}
	wantAlone(t, path)
}

// TestEntriesRefuses checks the errors of Entries, and that it moves and makes no file.
func TestEntriesRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.db")
	refused := func(says string) {
		t.Helper()
		entries, err := Entries(path)
		if err == nil || entries != nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%d entries, %v; want an error that says %q", len(entries), err, says)
		}
	}
	refused("no such file")
	if _, err := os.Stat(path); err == nil {
		t.Error("the file was made")
	}
	s, err := Open(path, quiet)
	must(t, err)
	must(t, s.Put(t.Context(), key(1), numbered(1), in(time.Hour), external.ClassProved))
	refused("a server has it open (fuser " + path + " names the process): stop the server first")
	must(t, s.Close())

	whole, err := os.ReadFile(path)
	must(t, err)
	at := bytes.Index(whole, numbered(1))
	whole[at] ^= 1
	must(t, os.WriteFile(path, whole, 0o600))
	refused("damaged file: a session's record or checksum is wrong")
	must(t, os.WriteFile(path, whole[:len(whole)/2], 0o600))
	refused("damaged file")
	wantAlone(t, path)
}

// wantAlone checks that a file is alone in its directory.
func wantAlone(t *testing.T, path string) {
	t.Helper()
	names, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(names) != 1 {
		t.Errorf("beside the file: %v, %v", names, err)
	}
}
