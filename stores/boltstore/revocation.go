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
		return fmt.Errorf("boltstore: replace the revocation log: it has at most %d bytes, and this one %d", external.MaxLogSize, n)
	}
	if err := s.compareAndSwap(ctx, old, next); err != nil {
		return fmt.Errorf("boltstore: replace the revocation log: %w", err)
	}
	return nil
}

// compareAndSwap compares with the log that is on its way to the file. Load returns
// the one that has arrived, so that nobody acts on a log that a crash takes back. A
// loser therefore waits until Load would return what it has lost to.
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

// newestLog returns the log that the last swap made, and the attempt with which it
// arrives: nil if the file has it.
func (s *Store) newestLog() (log []byte, arrival *attempt) {
	for _, b := range []*batch{s.open, s.committing} {
		if b != nil && b.log != nil {
			return b.log, b.attempt
		}
	}
	return s.log, nil
}

// equalLogs distinguishes an empty log from none, which is nil.
func equalLogs(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }
