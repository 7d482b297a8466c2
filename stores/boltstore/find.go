package boltstore

import (
	"bytes"
	"context"
	"fmt"

	"github.com/halfshake/halfshake/external"
)

// find returns a copy of the value under key, and its serial number.
func (s *Store) find(ctx context.Context, key external.Key) (value []byte, serial uint32, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		now := nanoseconds(s.now())
		s.mu.Lock()
		at, there := s.current(key)
		c, pending := s.pending(key)
		f, failure, shut := s.file, s.failure, s.shut
		s.mu.Unlock()
		switch {
		case shut:
			return nil, 0, ErrClosed
		case !there || at.expires <= now:
			return nil, 0, external.ErrNotFound
		case pending:
			return bytes.Clone(c.record.value()), at.serial, nil
		case f == nil:
			return nil, 0, failure
		}
		value, err := s.read(ctx, f, at, key)
		if err != nil || value != nil {
			return value, at.serial, err
		}
		// A commit has deleted the entry meanwhile, and may have put another one.
		s.mu.Lock()
		now2, there := s.current(key)
		s.mu.Unlock()
		if !there || now2 == at {
			return nil, 0, external.ErrNotFound
		}
	}
}

// readers is how many goroutines read the file. A hung disk can block at most as many.
const readers = 32

// A request asks a reading goroutine for a value. bbolt reads from mapped memory, where
// a hung disk stops the thread. Because another goroutine reads, the caller can return
// when its context is done. The reading goroutines are kept, because a new one for each
// read would have to grow its stack each time.
type request struct {
	file   *file
	at     slot
	key    external.Key
	answer chan answer // of capacity 1
}

type answer struct {
	value []byte
	err   error
}

// read has a reading goroutine call f.get, and returns the result.
func (s *Store) read(ctx context.Context, f *file, at slot, key external.Key) ([]byte, error) {
	r := request{f, at, key, make(chan answer, 1)}
	select {
	case s.requests <- r:
	case <-s.closing:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, fmt.Errorf("%d reads of the file are in progress: %w", readers, ctx.Err())
	}
	select {
	case a := <-r.answer:
		return a.value, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serveReads is a reading goroutine.
func (s *Store) serveReads() {
	for {
		select {
		case r := <-s.requests:
			value, err := r.file.get(r.at, r.key)
			if err != nil {
				s.condemn(r.file, err)
			}
			r.answer <- answer{value, err}
		case <-s.closing:
			return
		}
	}
}
