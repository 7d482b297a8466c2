package boltstore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/halfshake/halfshake/external"
)

// The files that TestDamage opens.

// twice puts the session of key 5 into the other class too.
func twice(t *testing.T, data []byte) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "twice.db")
	must(t, os.WriteFile(path, data, 0o600))
	db, err := bbolt.Open(path, 0, nil)
	must(t, err)
	e := slot{expires: nanoseconds(in(3 * time.Hour))}.id(key(5))
	err = db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(sessionsBuckets[external.ClassProved]).Put(e[:], newRecord(e, numbered(5)))
	})
	must(t, errors.Join(err, db.Close()))
	data, err = os.ReadFile(path)
	must(t, err)
	return data
}

func flipped(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 1
	return data
}

func anotherBolt(t *testing.T, change func(*bbolt.Options)) []byte {
	t.Helper()
	path := filepath.Join(quickDir(t), "another.db")
	options := *bbolt.DefaultOptions
	options.PageSize = 4096
	if change != nil {
		change(&options)
	}
	db, err := bbolt.Open(path, 0o600, &options)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("accounts"))
		if err != nil {
			return err
		}
		return b.Put([]byte("a"), []byte("b"))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
