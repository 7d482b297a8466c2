package boltstore

import (
	"bytes"
	"fmt"
	"os"

	"github.com/halfshake/halfshake/external"
)

// An Entry is a sealed session in a file.
type Entry struct {
	Key   external.Key
	Value []byte
}

// Entries returns every session in the file at path, expired ones included, for programs
// that show what is in a file. [external.KeyRing.Open] opens them.
//
// Entries only reads the file. It fails if a [Store] has the file open, and prevents an Open
// while it reads. A damaged file is an error and is not set aside.
func Entries(path string) ([]Entry, error) {
	entries, err := entriesOf(path)
	if err != nil {
		return nil, fmt.Errorf("boltstore: read %s: %w", path, bare(err))
	}
	return entries, nil
}

func entriesOf(path string) ([]Entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := lockShared(f); err != nil {
		return nil, err
	}
	var entries []Entry
	_, err = checkEach(f, func(e id, r record) {
		entries = append(entries, Entry{e.key(), bytes.Clone(r.value())})
	})
	if err != nil {
		return nil, err
	}
	return entries, nil
}
