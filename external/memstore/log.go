package memstore

import (
	"bytes"
	"context"
	"fmt"

	"github.com/halfshake/halfshake/external"
)

// Load implements [external.Store].
func (s *Store) Load(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log == nil {
		return nil, external.ErrNotFound
	}
	return bytes.Clone(s.log), nil
}

// CompareAndSwap implements [external.Store], except that the log does not survive a
// crash. It refuses a log of a size that the contract does not allow.
func (s *Store) CompareAndSwap(ctx context.Context, old, next []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(next) < 1 || len(next) > external.MaxLogSize {
		return fmt.Errorf("memstore: a revocation log of %d bytes", len(next))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if (old == nil) != (s.log == nil) || !bytes.Equal(old, s.log) {
		return external.ErrConflict
	}
	s.log = bytes.Clone(next)
	return nil
}
