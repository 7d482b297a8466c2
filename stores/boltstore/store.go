// Package boltstore keeps sealed sessions in one file, with go.etcd.io/bbolt, so that
// the sessions of one machine survive restarts of its server.
//
// Most servers need only [OpenExternal], which opens a store together with the keys that
// seal its sessions. [Open] opens a store alone, an [external.Store] for package external.
// Close either after the server has drained.
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

// Config configures a [Store]. The zero Config is a good default.
type Config struct {
	// MaxBytes limits the size of the file. 0 means 256 MiB; the minimum is 8 MiB. When
	// only an eighth of it is free, the store evicts entries: unproved ones first, and
	// within a class those that expire soonest. Proved entries keep four fifths of the
	// space that sessions use, and at least two fifths of MaxBytes; see [external.Class].
	//
	// The file never shrinks, but its free pages are used again. A file that is larger
	// when it is opened stays that large. Sessions use 60 to 75 % of the file if they
	// have few distinct lifetimes, as is usual, and less if each has its own.
	MaxBytes int64

	// Logger receives a warning or an error when a file is set aside, when commits start
	// to fail and when they succeed again. Nil means [slog.Default], looked up for each
	// line. To disable logging, set a logger over [slog.DiscardHandler].
	Logger *slog.Logger
}

// A Store is an open file of sessions. Only one Store at a time, across all processes,
// can have a file open: a second Open fails. Its methods are safe for concurrent use.
//
// Durability: Put returns before the session is on the disk. A crash of the process or of
// the machine loses the latest sessions. A session is on the disk after half a second and
// two commits, each a transaction of some milliseconds with two fsyncs. That is within two
// seconds, unless a commit takes more than 750 ms. Delete, Take and CompareAndSwap return
// when their change would survive a crash. Concurrent calls share a commit. A change of an
// entry that never reached the file needs no commit.
//
// Failing commits, for example on a full disk, are retried until Close. Meanwhile Delete,
// Take and CompareAndSwap return an error, but the entry is gone from this process. Put
// returns an error too, but keeps the session if the batches in memory can take it.
//
// Damage: a file that is damaged, has another format or was written by another program is
// set aside: it is renamed, and an empty file replaces it. The last three such files are
// kept. Open, which reads the whole file, sets it aside, and so do later operations when
// bbolt finds damage. They also start a new file if the file is no longer at its path.
// Operations return errors until the new file is ready; the store tries every few seconds.
// It keeps the revocation log, unless Open sets the file aside.
//
// Memory: the index of the file takes 60 to 110 bytes for each entry. A look-up of a
// missing key does not read the file. At most two batches of changes, of 4 MiB each, wait
// for a commit.
//
// Trust: a process that can read the file sees how many sessions there are, how large they
// are, when they expire and which of them are proved. A process that can write the file
// while no Store has it open can delete entries and restore entries from a copy. That
// undoes a Take until the entry's sealed expiry. It also brings back an old revocation
// log, which package external refuses if it has seen a newer one. A process that writes
// the file while a Store has it open can crash the Store's process. The bytes of a deleted
// entry remain in the file's free pages until those are used again, and in files that were
// set aside. Forward secrecy therefore requires destroying the fleet key.
type Store struct {
	path   string
	limits limits
	logTo  *slog.Logger // Config.Logger; see logger
	now    func() time.Time

	urgent     chan struct{} // capacity 1; a value means commit now
	due        *time.Timer   // the oldest change has waited for commitInterval
	requests   chan request
	closing    chan struct{}
	goroutines sync.WaitGroup
	serial     atomic.Uint32 // serial number of the last Put

	// Owned by the committing goroutine.
	failing  bool // the last commit failed
	replaced time.Time
	sweep    *time.Timer

	mu         sync.Mutex // guards the fields below; nothing blocks while holding it
	shut       bool
	file       *file  // nil after damage was found, until a new file is open
	condemned  *file  // the damaged file, until it is set aside
	failure    error  // why there is no file, or the last commit failed
	index      *index // entries in the file; only the committing goroutine writes it
	open       *batch // collects changes
	committing *batch // being written or retried; nil if none
	log        []byte // the revocation log in the file; nil if none
}

var _ external.Store = (*Store)(nil)

// ErrClosed is returned, wrapped, by every method after Close.
var ErrClosed = errors.New("the store is closed")

// Open opens the file at path. It creates the file with mode 0600 if it does not exist.
// The directory must exist. Open fails soon if the file is already open, in this
// process or another.
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

// logger returns the logger for the next line. All lines are warnings or errors.
func (s *Store) logger() *slog.Logger {
	if s.logTo == nil {
		return slog.Default()
	}
	return s.logTo
}

// Close commits pending changes, however long the disk takes, and closes the file. It
// returns the error of that commit, or nil if the store is already closed.
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
		return fmt.Errorf("boltstore: put %v: a value has 1 to %d bytes, and this one has %d", key, external.MaxValueSize, n)
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
	if s.file != nil && s.failure != nil { // the session is kept and retried, but is not yet safe
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

// take reads the value before it deletes the entry, because the deletion might otherwise
// be committed before the read. It deletes the entry only if the value is still current.
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
