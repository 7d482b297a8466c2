package boltstore

import (
	"bytes"
	"context"
	"fmt"

	"github.com/halfshake/halfshake/external"
)

// Load implements [external.Store].
func (s *Store) Load(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("boltstore: load the revocation log: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.shut:
		return nil, fmt.Errorf("boltstore: load the revocation log: %w", ErrClosed)
	case s.log == nil:
		return nil, fmt.Errorf("boltstore: load the revocation log: %w", external.ErrNotFound)
	}
	return bytes.Clone(s.log), nil
}

// CompareAndSwap implements [external.Store].
func (s *Store) CompareAndSwap(ctx context.Context, old, next []byte) error {
	if n := len(next); n > external.MaxLogSize {
		return fmt.Errorf("boltstore: replace the revocation log: it may have at most %d bytes, and this one has %d", external.MaxLogSize, n)
	}
	if err := s.compareAndSwap(ctx, old, next); err != nil {
		return fmt.Errorf("boltstore: replace the revocation log: %w", err)
	}
	return nil
}

// compareAndSwap compares old with the newest log, which may not be in the file yet. Load
// returns only a log that is in the file, so that no caller acts on a log that a crash
// would undo. On a conflict, compareAndSwap therefore waits until Load would return the
// log that won.
func (s *Store) compareAndSwap(ctx context.Context, old, next []byte) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	if newest, arrival := s.newestLog(); !equalLogs(newest, old) {
		s.mu.Unlock()
		if err := s.await(ctx, arrival); err != nil {
			return err
		}
		return external.ErrConflict
	}
	s.open.log = append([]byte{}, next...)
	swapped := s.open.attempt
	s.mu.Unlock()
	return s.await(ctx, swapped)
}

// newestLog returns the log of the last swap, and the attempt that writes it to the file,
// or nil if the file already has it.
func (s *Store) newestLog() (log []byte, arrival *attempt) {
	for _, b := range []*batch{s.open, s.committing} {
		if b != nil && b.log != nil {
			return b.log, b.attempt
		}
	}
	return s.log, nil
}

// equalLogs reports whether a and b are equal. Unlike bytes.Equal, it distinguishes an
// empty log from a missing one, which is nil.
func equalLogs(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }
