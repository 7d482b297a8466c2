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

// compareAndSwap compares with what is on its way to the file, and Load returns
// what has arrived, so that nobody acts on a log that a crash takes back.
func (s *Store) compareAndSwap(ctx context.Context, old, next []byte) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	if !equalLogs(s.newestLog(), old) {
		s.mu.Unlock()
		return external.ErrConflict
	}
	s.open.log = append([]byte{}, next...)
	swapped := s.open.attempt
	s.mu.Unlock()
	return s.await(ctx, swapped)
}

func (s *Store) newestLog() []byte {
	switch {
	case s.open.log != nil:
		return s.open.log
	case s.committing != nil && s.committing.log != nil:
		return s.committing.log
	}
	return s.log
}

// equalLogs tells the log that is empty from the one that is not there, nil.
func equalLogs(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }
