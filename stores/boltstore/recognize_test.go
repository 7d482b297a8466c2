package boltstore

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/halfshake/halfshake/external"
)

// A file of this package is recognized, intact or with one of its first pages destroyed.
// Another program's file is not.
func TestRecognizes(t *testing.T) {
	dir := t.TempDir()
	ours := filepath.Join(dir, "ours")
	s, err := Open(ours, quiet)
	must(t, err)
	must(t, s.Put(t.Context(), key(1), numbered(1), in(time.Hour), external.ClassUnproved))
	must(t, s.Close())
	whole, err := os.ReadFile(ours)
	must(t, err)
	theirs := filepath.Join(dir, "theirs")
	db, err := bbolt.Open(theirs, 0o600, &bbolt.Options{PageSize: 4096})
	must(t, err)
	must(t, db.Close())
	other, err := os.ReadFile(theirs)
	must(t, err)
	noFirst, noSecond := bytes.Clone(whole), bytes.Clone(whole)
	clear(noFirst[:pageSize])
	clear(noSecond[pageSize : 2*pageSize])
	for name, c := range map[string]struct {
		content []byte
		want    bool
	}{
		"whole": {whole, true}, "cut off": {whole[:100], true}, "no first page": {noFirst, true}, "no second page": {noSecond, true},
		"empty": {nil, true}, "a key": {[]byte("-----BEGIN PRIVATE KEY-----"), false}, "another's database": {other, false},
		"zeros": {make([]byte, 3*pageSize), false},
	} {
		path := filepath.Join(dir, "file")
		must(t, os.WriteFile(path, c.content, 0o600))
		if got, err := Recognizes(path); got != c.want || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if got, err := Recognizes(filepath.Join(dir, "absent")); !got || err != nil {
		t.Errorf("absent: %v, %v", got, err)
	}
	if _, err := Recognizes(dir); err == nil {
		t.Error("a directory is taken for a file")
	}
}
