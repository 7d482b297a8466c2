// Package boltstore keeps sealed sessions in one file, with go.etcd.io/bbolt, so that
// the sessions of one machine survive restarts of its server.
//
// [OpenExternal] is all that most servers need: it opens a store together with the
// keys that seal its sessions. [Open] opens a store alone, an [external.Store] for
// package external. Close either when the server has drained.
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

// Config configures a [Store]. The zero Config is a good one.
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

// A Store is an open file of sessions. One Store at a time, among all processes, has
// the file: a second Open fails. Its methods are safe for concurrent use.
//
// Durability: Put returns before the session is on the disk, and a crash of the
// process or of the machine loses the sessions of the last moments. A session is on
// the disk after half a second and two commits, each a transaction of some
// milliseconds with two fsyncs: within two seconds, unless a commit takes the disk
// more than 750 ms. Delete, Take and CompareAndSwap return when their change would
// survive a crash. Concurrent ones share a commit, and a change of an entry that never
// reached the file needs none.
//
// Failing commits, as on a full disk, are retried until Close. Delete, Take and
// CompareAndSwap then return an error, and the entry is gone from this process all the
// same. Put returns an error too, and keeps the session as long as there is room in
// memory for what waits.
//
// Damage: a file that is damaged, was written by something else or has another format
// is set aside. It is renamed, and an empty file takes its place; the last three are
// kept. Open, which reads the whole file, does so, and so do later operations when
// bbolt finds damage or the file is gone from its place. They return errors until the
// next file is there, which is tried every few seconds. The revocation log is carried
// over, except from a file that Open sets aside.
//
// Memory: the index of the file takes 60 to 110 bytes for each entry, and answers for
// keys that are not there without a read. At most two batches of changes, of 4 MiB
// each, wait for a commit.
//
// Trust: whoever reads the file sees how many sessions there are, how large they are,
// when they expire and which of them are proved. Whoever writes it while no process
// has it open can lose entries and restore those of a copy. That undoes a Take until
// the entry's sealed expiry, and brings back an old revocation log, which package
// external refuses where it has seen a newer one. Whoever writes it while a process
// has it open can end the process. The bytes of a deleted entry stay in the file's free
// pages until they are used again, and in files set aside: forward secrecy comes with
// the destruction of the fleet key.
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

	// Owned by the committing goroutine.
	failing  bool // the last commit failed
	replaced time.Time
	sweep    *time.Timer

	mu         sync.Mutex // guards what follows; nothing blocks under it
	shut       bool
	file       *file  // nil after damage was found, until there is another
	condemned  *file  // the damaged one, until it is set aside
	failure    error  // why there is no file, or the last commit failed
	index      *index // what the file has; written by the committing goroutine alone
	open       *batch // collects changes
	committing *batch // is being written or retried; nil if none
	log        []byte // the revocation log that the file has; nil if none
}

var _ external.Store = (*Store)(nil)

// ErrClosed is returned, wrapped, by every method after Close.
var ErrClosed = errors.New("the store is closed")

// Open opens the file at path, and makes it, with mode 0600, if there is none. Its
// directory must exist. Open fails at once if another process has the file open.
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
	if s.file != nil && s.failure != nil { // kept and retried, but not yet safe
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

// take reads the value before it claims it, because the deletion might be committed
// before the read. It claims the value only if it is still the current one.
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
