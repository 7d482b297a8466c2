package storetest

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/halfshake/halfshake/external"
)

// A naive is a sound store of which each part can be replaced by a broken one.
type naive struct {
	key       func(external.Key) string // what an entry is found by
	in, out   func([]byte) []byte       // what is kept of a value, and shown
	expired   func(now time.Time, e kept) bool
	done      func(context.Context, external.Key) error // asked before all else
	absent    func(external.Key) error
	keepTimes bool // a Put leaves the expiry of what is there

	*naiveLog

	mu      sync.Mutex
	entries map[string]kept
}

type kept struct {
	value        []byte
	put, expires time.Time
}

var _ external.Store = (*naive)(nil)

func newNaive() *naive {
	return &naive{
		key:      func(key external.Key) string { return string(key[:]) },
		in:       bytes.Clone,
		out:      bytes.Clone,
		expired:  func(now time.Time, e kept) bool { return now.After(e.expires) },
		done:     func(ctx context.Context, _ external.Key) error { return ctx.Err() },
		absent:   func(external.Key) error { return external.ErrNotFound },
		naiveLog: newNaiveLog(),
		entries:  make(map[string]kept),
	}
}

func (s *naive) Put(ctx context.Context, key external.Key, value []byte, expires time.Time, _ external.Class) error {
	if err := s.done(ctx, key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := kept{s.in(value), time.Now(), expires}
	if old, ok := s.entries[s.key(key)]; ok && s.keepTimes {
		e.put, e.expires = old.put, old.expires
	}
	s.entries[s.key(key)] = e
	return nil
}

func (s *naive) Get(ctx context.Context, key external.Key) ([]byte, error) {
	if err := s.done(ctx, key); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(key)
}

func (s *naive) Take(ctx context.Context, key external.Key) ([]byte, error) {
	if err := s.done(ctx, key); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer delete(s.entries, s.key(key))
	return s.find(key)
}

func (s *naive) Delete(ctx context.Context, key external.Key) error {
	if err := s.done(ctx, key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.entries, s.key(key))
	return nil
}

func (s *naive) find(key external.Key) ([]byte, error) {
	e, ok := s.entries[s.key(key)]
	if !ok || s.expired(time.Now(), e) {
		return nil, s.absent(key)
	}
	return s.out(e.value), nil
}
