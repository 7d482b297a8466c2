// Package boltstore keeps sealed sessions in one file, with go.etcd.io/bbolt: an
// [external.Store] for one machine that outlives restarts of the process.
//
// Open a store, give it to package external, and Close it when the server has
// drained.
package boltstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/halfshake/halfshake/external"
)

// Config is a store's configuration. The zero Config is a good one.
type Config struct {
	// MaxBytes is how large the file may grow: 0 means 256 MiB, and the least is
	// 8 MiB. When only an eighth of it is left, entries are evicted: unproved ones
	// first, and those nearest to their expiry before the others. Proved ones keep
	// four fifths of what sessions take, and at least two fifths of MaxBytes; see
	// [external.Class].
	//
	// The file never shrinks, but fills its free pages again. A file that was larger
	// when it was opened stays so. Sessions take 60 to 75 % of it if they have few
	// lifetimes, as is usual, and less if each has its own.
	MaxBytes int64

	// Logger receives a line when a file is set aside, when commits start to fail and
	// when they succeed again: warnings and errors. Nil is [slog.Default], looked up at
	// each line. Set a logger over [slog.DiscardHandler] for silence.
	Logger *slog.Logger
}

// A Store is an open file of sessions. One Store at a time, of all processes,
// has the file: a second Open fails.
//
// Durability. A session that was put is on the disk within half a second and
// the time of two commits (a transaction of some milliseconds with two fsyncs
// each): a crash of the process or of the machine loses at most the sessions of
// the last two seconds, as long as the disk takes less than 750 ms for a commit,
// and of as much longer as the disk takes. Nothing else is lost: Delete, Take and
// CompareAndSwap return when their change would survive a crash. Concurrent ones
// share a commit, and what never reached the file needs none.
//
// Where commits fail, as on a full disk, they are tried again until Close, and the
// Logger is told of the first. Delete, Take and CompareAndSwap return the error,
// and the entry is gone all the same in this process; Put returns it too, of what
// it has kept all the same, as long as there is room in memory for what waits.
//
// A damaged file, one that something else has written, or one of a newer format
// is set aside: renamed, with a message to the Logger, and an empty one takes its
// place. The last three are kept. That happens in Open, which reads the whole
// file, and later where bbolt finds damage, or the file is gone from its place:
// operations return errors until the next file is there, which is tried every few
// seconds. The revocation log is carried over, but for the damage that Open finds.
//
// Memory: the index of the file is held in it, 60 to 110 bytes for an entry,
// so that no key which is not there costs a read; and at most two batches of
// changes, of 4 MiB each.
//
// Trust. Who reads the file sees how many sessions there are, how large, and
// when they expire. Who can write it while no process has it can lose entries and
// restore what a copy has, so that it undoes a Take until the entry's sealed
// expiry, and can bring back an old revocation log, which package external
// refuses where a newer one was seen. Who writes it behind this process's back can
// end the process. A deleted entry's bytes stay in the file's free pages until
// they are used again, and in files set aside: forward secrecy comes with the
// destruction of the fleet key.
type Store struct {
	path   string
	limits limits
	logTo  *slog.Logger // Config.Logger; see logger
	now    func() time.Time

	urgent     chan struct{} // of capacity 1: commit now
	due        *time.Timer   // the oldest change has waited for commitInterval
	requests   chan request
	closing    chan struct{}
	goroutines sync.WaitGroup
	serial     atomic.Uint32 // of the last Put

	// Of the committing goroutine alone.
	failing  bool // the last commit failed
	replaced time.Time
	sweep    *time.Timer

	mu         sync.Mutex // guards what follows; nothing blocks under it
	shut       bool
	file       *file  // nil from when damage was found until there is another
	condemned  *file  // in which it was found, until it is set aside
	failure    error  // why there is no file, or the last commit failed
	index      *index // what the file has; written by the committing goroutine alone
	open       *batch // collects changes
	committing *batch // is being written, or to be tried again; nil if none
	log        []byte // the revocation log that the file has; nil if none
}

var _ external.Store = (*Store)(nil)

// ErrClosed is returned, wrapped, by every method after Close.
var ErrClosed = errors.New("the store is closed")

// Open opens the file at path, and makes it, with mode 0600, if there is none.
// Its directory must exist. A file that another process has is an error at once.
func Open(path string, cfg Config) (*Store, error) { return open(path, cfg, time.Now) }

func open(path string, cfg Config, now func() time.Time) (*Store, error) {
	limits, err := newLimits(cfg.MaxBytes)
	if err != nil {
		return nil, fmt.Errorf("boltstore: open %s: %w", path, err)
	}
	s := &Store{
		path:     path,
		limits:   limits,
		logTo:    cfg.Logger,
		now:      now,
		urgent:   make(chan struct{}, 1),
		due:      time.NewTimer(commitInterval),
		requests: make(chan request),
		closing:  make(chan struct{}),
		sweep:    time.NewTimer(0),
		open:     newBatch(),
	}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("boltstore: open %s: %w", path, err)
	}
	s.goroutines.Go(s.run)
	for range readers {
		s.goroutines.Go(s.serveReads)
	}
	return s, nil
}

// logger returns where the next line goes. All lines are warnings or errors.
func (s *Store) logger() *slog.Logger {
	if s.logTo == nil {
		return slog.Default()
	}
	return s.logTo
}

// Close commits what is pending, however long the disk takes, and gives up the file.
// It returns the error of that commit, or nil if the store is closed already.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.shut {
		s.mu.Unlock()
		return nil
	}
	s.shut = true
	s.mu.Unlock()
	close(s.closing)
	s.goroutines.Wait()
	if err := s.finish(); err != nil {
		return fmt.Errorf("boltstore: close %s: %w", s.path, err)
	}
	return nil
}

// Put implements [external.Store].
func (s *Store) Put(ctx context.Context, key external.Key, value []byte, expires time.Time, class external.Class) error {
	if n := len(value); n < 1 || n > external.MaxValueSize {
		return fmt.Errorf("boltstore: put %v: a value has 1 to %d bytes, and this one %d", key, external.MaxValueSize, n)
	}
	at := slot{nanoseconds(expires), s.serial.Add(1), checksumSize + uint16(len(value)), min(class, external.ClassProved)}
	r := newRecord(at.id(key), value)
	if err := s.enter(ctx); err != nil {
		return fmt.Errorf("boltstore: put %v: %w", key, err)
	}
	defer s.mu.Unlock()
	if at.expires <= nanoseconds(s.now()) {
		s.remove(key)
		return nil
	}
	s.add(key, change{at, r})
	if s.file != nil && s.failure != nil { // it is kept, and will be tried again, but is not safe
		return fmt.Errorf("boltstore: put %v: %w", key, s.failure)
	}
	return nil
}

// Get implements [external.Store].
func (s *Store) Get(ctx context.Context, key external.Key) ([]byte, error) {
	value, _, err := s.find(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("boltstore: get %v: %w", key, err)
	}
	return value, nil
}

// Take implements [external.Store].
func (s *Store) Take(ctx context.Context, key external.Key) ([]byte, error) {
	value, err := s.take(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("boltstore: take %v: %w", key, err)
	}
	return value, nil
}

// take reads first and claims then, because the deletion might be committed
// before the value is read. It is claimed only if it is still the one there.
func (s *Store) take(ctx context.Context, key external.Key) ([]byte, error) {
	for {
		value, serial, err := s.find(ctx, key)
		if err != nil {
			return nil, err
		}
		if err := s.enter(ctx); err != nil {
			return nil, err
		}
		if at, ok := s.current(key); !ok || at.serial != serial {
			s.mu.Unlock()
			continue
		}
		gone := s.remove(key)
		s.mu.Unlock()
		if err := s.await(ctx, gone); err != nil {
			return nil, err
		}
		return value, nil
	}
}

// Delete implements [external.Store].
func (s *Store) Delete(ctx context.Context, key external.Key) error {
	if err := s.enter(ctx); err != nil {
		return fmt.Errorf("boltstore: delete %v: %w", key, err)
	}
	gone := s.remove(key)
	s.mu.Unlock()
	if err := s.await(ctx, gone); err != nil {
		return fmt.Errorf("boltstore: delete %v: %w", key, err)
	}
	return nil
}
