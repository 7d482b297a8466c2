package boltstore

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

func TestFewDamagedFilesAreKept(t *testing.T) {
	path := filepath.Join(quickDir(t), "sessions.db")
	var all []string
	for n := range 3 * keptAside {
		survive(t, path, bytes.Repeat([]byte{byte(n)}, 100))
		aside, err := asideOf(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, aside[len(aside)-1])
	}
	aside, err := asideOf(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(aside) != keptAside || strings.Join(aside, " ") != strings.Join(all[2*keptAside:], " ") {
		t.Errorf("kept %v of %v", aside, all)
	}
}

// TestSetAsideOverwritesNothing sets a file aside when the name is already taken.
func TestSetAsideOverwritesNothing(t *testing.T) {
	name := filepath.Join(quickDir(t), "name")
	for n := range 3 {
		got, err := freeName(name)
		if err != nil || (n == 0) != (got == name) {
			t.Fatal(got, err)
		}
	}
	if names := namesIn(t, filepath.Dir(name)); len(names) != 3 {
		t.Error(names)
	}
	if _, err := freeName(filepath.Join(name, "below")); errors.Is(err, fs.ErrExist) || err == nil {
		t.Error(err)
	}
}
