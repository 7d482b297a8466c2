package boltstore

import (
	"context"
	"fmt"
	"time"

	"github.com/halfshake/halfshake/external"
)

// commitInterval is how long a put waits for others to share its commit.
const commitInterval = 500 * time.Millisecond

// limits follow from Config.MaxBytes. A transaction writes to free pages only, so enough
// pages for the largest transaction must be free: twice the bytes of its batch, because
// pages may be half full, and one page for each change of an entry in the file.
type limits struct {
	file       int64 // the size of the file
	growth     int64 // how much it grows at a time
	reserve    int64 // how much of the file is kept free
	capacity   int64 // the least space that sessions are assumed to have
	batchBytes int64 // bytes of changes in one transaction
	batchEdits int   // changes in one transaction of entries in the file
}

// batchChanges limits the changes in one transaction, and so its duration.
const batchChanges = 8192

const (
	defaultMaxBytes = 256 << 20
	minMaxBytes     = 8 << 20
)

func newLimits(maxBytes int64) (limits, error) {
	switch {
	case maxBytes == 0:
		maxBytes = defaultMaxBytes
	case maxBytes < minMaxBytes:
		return limits{}, fmt.Errorf("MaxBytes is %d: set at least %d (8 MiB), or 0 for 256 MiB", maxBytes, minMaxBytes)
	}
	return limits{
		file:       maxBytes,
		growth:     min(maxBytes/64, 1<<20),
		reserve:    maxBytes / 8,
		capacity:   maxBytes / 2,
		batchBytes: min(maxBytes/64, 4<<20),
		batchEdits: int(min(maxBytes/32/pageSize, 1024)),
	}, nil
}

// A batch holds the changes of one transaction.
type batch struct {
	changes map[external.Key]change
	log     []byte // the next revocation log; nil for no change
	bytes   int64
	edits   int // upper bound on the changes of entries in the file
	attempt *attempt
}

// A change puts a record, or deletes the entry if record is nil.
type change struct {
	slot
	record record
}

func newBatch() *batch {
	return &batch{changes: make(map[external.Key]change), attempt: newAttempt()}
}

func (b *batch) empty() bool { return len(b.changes) == 0 && b.log == nil }

func (b *batch) full(l limits) bool { return b.filled(l, 1) }

// half reports whether to commit now rather than wait for more changes.
func (b *batch) half(l limits) bool { return b.filled(l, 2) }

// filled reports whether b has reached 1/parts of its limits.
func (b *batch) filled(l limits, parts int) bool {
	return b.bytes >= l.batchBytes/int64(parts) || b.edits >= l.batchEdits/parts || len(b.changes) >= batchChanges/parts
}

// An attempt is one attempt to commit a batch.
type attempt struct {
	done chan struct{}
	err  error // set before done is closed
}

func newAttempt() *attempt { return &attempt{done: make(chan struct{})} }

func (a *attempt) end(err error) {
	a.err = err
	close(a.done)
}

// fail ends the attempt, and begins another to retry b.
func (b *batch) fail(err error) {
	b.attempt.end(err)
	b.attempt = newAttempt()
}

func (a *attempt) wait(ctx context.Context) error {
	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enter waits until the open batch can take a change, and locks s.mu. If it returns an
// error, s.mu is not locked.
func (s *Store) enter(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.mu.Lock()
		if s.shut {
			s.mu.Unlock()
			return ErrClosed
		}
		if !s.open.full(s.limits) {
			return nil
		}
		first := s.open
		if s.committing != nil {
			first = s.committing
		}
		wait := first.attempt
		s.mu.Unlock()
		if err := s.await(ctx, wait); err != nil {
			return err
		}
	}
}

// await has the attempt started at once, and waits for its end. If a is nil, it returns
// at once.
func (s *Store) await(ctx context.Context, a *attempt) error {
	if a == nil {
		return nil
	}
	s.hurry()
	return a.wait(ctx)
}

func (s *Store) hurry() {
	select {
	case s.urgent <- struct{}{}:
	default:
	}
}

// pending returns the change of key that is not yet in the file.
func (s *Store) pending(key external.Key) (change, bool) {
	if c, ok := s.open.changes[key]; ok {
		return c, true
	}
	if s.committing == nil {
		return change{}, false
	}
	c, ok := s.committing.changes[key]
	return c, ok
}

// current returns the slot of the entry under key.
func (s *Store) current(key external.Key) (slot, bool) {
	if c, ok := s.pending(key); ok {
		return c.slot, c.record != nil
	}
	at, ok := s.index.slots[key]
	return at, ok
}

// onFile reports whether the file has, or may soon have, an entry under key.
func (s *Store) onFile(key external.Key) bool {
	if _, ok := s.index.slots[key]; ok {
		return true
	}
	if s.committing == nil {
		return false
	}
	return s.committing.changes[key].record != nil
}

// add puts a change of key into the open batch, replacing any earlier one.
func (s *Store) add(key external.Key, c change) {
	if s.open.empty() {
		s.due.Reset(commitInterval)
	}
	s.drop(key)
	s.open.changes[key] = c
	s.open.bytes += c.record.cost()
	if s.onFile(key) {
		s.open.edits++
	}
	if s.open.half(s.limits) {
		s.hurry()
	}
}

// drop removes the change of key from the open batch. It leaves edits as it is, because
// the file may have gained or lost the entry since the change was counted.
func (s *Store) drop(key external.Key) {
	if c, ok := s.open.changes[key]; ok {
		s.open.bytes -= c.record.cost()
		delete(s.open.changes, key)
	}
}

// remove deletes the entry under key. It returns the attempt that deletes the entry from
// the file, or nil if the entry never reached the file.
func (s *Store) remove(key external.Key) *attempt {
	if !s.onFile(key) {
		s.drop(key)
		return nil
	}
	s.add(key, change{})
	return s.open.attempt
}
