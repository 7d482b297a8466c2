package boltstore

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const (
	// retryInterval is the pause after a commit that failed.
	retryInterval = 250 * time.Millisecond
	// While there is nothing to commit, a sweep deletes expired entries. It runs at most
	// once every minSweep and at least once every maxSweep.
	minSweep, maxSweep = time.Second, time.Minute
)

// run is the committing goroutine.
func (s *Store) run() {
	for {
		select {
		case <-s.urgent:
		case <-s.due.C:
		case <-s.sweep.C:
		case <-s.closing:
			return
		}
		if s.commit() {
			s.hurry()
		}
		if s.failing && !s.pause(retryInterval) {
			return
		}
	}
}

// pause sleeps, and returns false when the store is closing.
func (s *Store) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-s.closing:
		return false
	}
}

// finish makes the last commits after run has ended: a batch that has failed before, and
// the open batch.
func (s *Store) finish() error {
	s.due.Stop()
	s.sweep.Stop()
	s.commit()
	s.commit()
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.dismiss()
	if s.file != nil {
		err = errors.Join(err, s.file.close())
	}
	return err
}

// dismiss ends the wait for changes that will not be committed. It returns an error if
// there are any such changes.
func (s *Store) dismiss() error {
	lost := 0
	for _, b := range []*batch{s.committing, s.open} {
		if b != nil {
			lost += len(b.changes)
			if b.log != nil {
				lost++
			}
			b.attempt.end(ErrClosed)
		}
	}
	if lost == 0 {
		return nil
	}
	return fmt.Errorf("%d changes are lost: %w", lost, s.failure)
}

// commit writes pending changes and deletes expired entries. It reports whether there is
// more to do at once.
func (s *Store) commit() (more bool) {
	f, err := s.present()
	b := s.next()
	if err != nil {
		s.settle(b, trimmed{}, err)
		return false
	}
	t, err := s.write(f, b, 0)
	if errors.Is(err, berrors.ErrMaxSizeReached) {
		if err = s.freePages(f); err == nil {
			t, err = s.write(f, b, 0)
		}
	}
	s.settle(b, t, err)
	if err != nil {
		return false
	}
	s.sweep.Reset(s.untilSweep(t.next))
	return t.more
}

// freePages evicts entries after a transaction found too few free pages, or only
// scattered ones. The next transaction can use the pages that this one frees.
func (s *Store) freePages(f *file) error {
	f.db.MaxSize = f.full
	defer func() { f.db.MaxSize = f.most }()
	b := newBatch()
	evicted, err := s.write(f, b, s.limits.reserve)
	if err == nil {
		s.mu.Lock()
		s.follow(b, evicted)
		s.mu.Unlock()
	}
	return err
}

// next returns the batch to write: the one that failed before, if any, or else the open
// one.
func (s *Store) next() *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.committing == nil {
		s.committing, s.open = s.open, newBatch()
	}
	return s.committing
}

// write makes the changes of b in one transaction. The transaction also evicts at least
// excess bytes of entries, and more if the file would otherwise become too full.
func (s *Store) write(f *file, b *batch, excess int64) (trimmed, error) {
	var t trimmed
	edits, used := s.edits(b)
	now, limits := nanoseconds(s.now()), s.limits
	err := f.update(func(tx *bbolt.Tx) error {
		sessions := sessionsOf(tx)
		t = trim(sessions, now, max(excess, inUse(tx)+b.bytes-(limits.file-limits.reserve)), used, limits.capacity)
		if len(t.gone) == 0 && b.empty() {
			return errNothing
		}
		for _, edits := range [][]edit{t.gone, edits} {
			for i := range edits {
				if err := edits[i].apply(sessions); err != nil {
					return err
				}
			}
		}
		if b.log == nil {
			return nil
		}
		return tx.Bucket(stateBucket).Put(logKey, recordOf(logKey, b.log))
	})
	switch {
	case err == nil || err == errNothing:
		return t, nil
	case !isFull(err):
		// After a failed fsync, the file's contents are unknown. After a panic, bbolt's
		// locks may stay locked.
		s.condemn(f, err)
	}
	return trimmed{}, err // a stuck transaction may still write to t
}

// errNothing ends a transaction that has nothing to write.
var errNothing = errors.New("nothing to commit")

// settle updates the index after a transaction, and ends the attempt of b, the batch that
// next returned.
func (s *Store) settle(b *batch, t trimmed, err error) {
	again := s.failing
	s.report(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failure = err
		b.fail(err)
		s.open.fail(err) // the open batch is committed after b
		s.hurry()
		return
	}
	if s.file != nil { // otherwise a read has found damage meanwhile
		s.failure = nil
	}
	defer b.attempt.end(nil)
	s.follow(b, t)
	s.committing = nil
	if again || s.open.half(s.limits) {
		s.hurry()
	}
}

// follow updates the index to match the file after a transaction. The caller holds s.mu.
func (s *Store) follow(b *batch, t trimmed) {
	for _, e := range t.gone {
		s.index.remove(e.id.key())
	}
	for key, c := range b.changes {
		if c.record == nil {
			s.index.remove(key)
		} else {
			s.index.put(key, c.slot)
		}
	}
	if b.log != nil {
		s.log = b.log
	}
}

// report logs the first of consecutive failures, and the success that ends them.
func (s *Store) report(err error) {
	switch {
	case err != nil && !s.failing:
		s.logger().Error("sessions cannot be written to the store's file; the store keeps trying", "file", s.path, "error", err)
	case err == nil && s.failing:
		s.logger().Warn("sessions are written to the store's file again", "file", s.path)
	}
	s.failing = err != nil
}

// untilSweep returns how long to wait for the next sweep if the next entry expires at
// next.
func (s *Store) untilSweep(next int64) time.Duration {
	if next == 0 {
		return maxSweep
	}
	return min(max(time.Duration(next-nanoseconds(s.now())), minSweep), maxSweep)
}
