package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/halfshake/halfshake/external"
)

// pageSize is four times bbolt's default. Larger pages cost nothing here, because
// entries are appended and expire in order. They waste less space after their last
// entry, and make the list of free pages, which every commit writes, four times shorter.
const pageSize = 16 << 10

// A file is an open bbolt database. After damage it must not be touched again, because
// bbolt's locks may have stayed locked: see abandon.
type file struct {
	db     *bbolt.DB
	f      *os.File
	info   os.FileInfo
	broken chan struct{} // closed when damage was found

	most int // how large the file may grow
	full int // how large it may grow in a transaction that frees pages
}

// A damage is the error for a file that differs from what this package wrote.
type damage struct{ what string }

func (d *damage) Error() string { return d.what }

func damaged(format string, args ...any) error {
	return &damage{"damaged file: " + fmt.Sprintf(format, args...)}
}

func isDamage(err error) bool {
	_, ok := errors.AsType[*damage](err)
	return ok
}

// guard turns a panic into an error. bbolt panics when it reads inconsistent data, and
// faults when the file is shorter than its pages say.
func guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damaged("%v", p)
		}
	}()
	return do()
}

// openBolt opens f with bbolt. The caller has locked and checked f. If openBolt returns an
// error, it has closed f.
func openBolt(f *os.File, limits limits) (*file, error) {
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	opened := &file{f: f, info: info, broken: make(chan struct{})}
	spare := limits.file / 32
	opened.full = int(limits.file)
	if info.Size() > limits.file {
		// Its limit used to be larger. Perhaps no page is free, and evicting an entry
		// needs some.
		opened.full = int(info.Size() + spare)
	}
	opened.most = opened.full - int(spare)
	err = guard(func() (err error) {
		opened.db, err = bbolt.Open(f.Name(), 0, &bbolt.Options{
			OpenFile: func(string, int, os.FileMode) (*os.File, error) { return f, nil },
			PageSize: pageSize,
			// Its time is proportional to the changes. For each change, the default type
			// takes time proportional to the number of free pages.
			FreelistType: bbolt.FreelistMapType,
			MaxSize:      opened.most,
			// Map the whole file from the start. To map more later, a commit would have
			// to wait for all reads to end.
			InitialMmapSize: opened.full,
		})
		if err != nil {
			return err
		}
		opened.db.AllocSize = int(limits.growth)
		return opened.init()
	})
	if err != nil {
		f.Close()
		return nil, err
	}
	return opened, nil
}

// init makes the buckets of a new file.
func (f *file) init() error {
	return f.db.Update(func(tx *bbolt.Tx) error {
		if tx.Bucket(stateBucket) != nil {
			return nil
		}
		for _, name := range sessionsBuckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		state, err := tx.CreateBucket(stateBucket)
		if err != nil {
			return err
		}
		return state.Put(formatKey, formatValue)
	})
}

// stuckAfter is how long a transaction may continue once damage was found.
const stuckAfter = 2 * time.Second

// update runs do in a transaction. The transaction has its own goroutine, because it may
// wait forever for one of bbolt's locks that a panicking read has left locked.
func (f *file) update(do func(*bbolt.Tx) error) error {
	done := make(chan error, 1)
	go func() { done <- guard(func() error { return f.db.Update(do) }) }()
	select {
	case err := <-done:
		return err
	case <-f.broken:
	}
	select {
	case err := <-done:
		return err
	case <-time.After(stuckAfter):
		return damaged("the transaction has been stuck since a read failed")
	}
}

// get returns a copy of the value under key at a slot, or nil if the slot is empty.
func (f *file) get(at slot, key external.Key) (value []byte, err error) {
	e := at.id(key)
	err = guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			found := record(tx.Bucket(sessionsBuckets[at.class]).Get(e[:]))
			if found == nil {
				return nil
			}
			if !found.validFor(e[:], external.MaxValueSize) {
				return damaged("the checksum of entry %v is wrong", key)
			}
			value = bytes.Clone(found.value())
			return nil
		})
	})
	return value, err
}

// inUse returns the size of the pages that are not free, in bytes.
func inUse(tx *bbolt.Tx) int64 {
	stats := tx.DB().Stats() // of the last transaction
	return tx.Size() - int64(stats.FreePageN+stats.PendingPageN)*pageSize
}

func (f *file) close() error { return guard(f.db.Close) }

// abandon closes the file without using bbolt. The file stays mapped until the process
// ends, which costs address space.
func (f *file) abandon() { f.f.Close() }

// isFull reports whether a commit failed for lack of space. The file is then unchanged,
// because the meta is written last.
func isFull(err error) bool {
	if errors.Is(err, berrors.ErrMaxSizeReached) || strings.HasPrefix(err.Error(), "file resize error") {
		return true
	}
	write, ok := errors.AsType[*os.PathError](err)
	return ok && write.Op == "write" &&
		(errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG))
}
