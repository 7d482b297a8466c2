// Package memstore is an external store in this process's own memory. It is for tests,
// for examples, and as a model for new drivers. No other process shares it, and its
// contents are lost when the process ends. [New] makes a [Store].
package memstore

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/halfshake/halfshake/external"
)

// DefaultMaxEntries is how many sessions a halfshake.Cache holds by default.
const DefaultMaxEntries = 20480

// A Config configures a [Store]. The zero Config has good defaults.
type Config struct {
	// MaxEntries is how many entries the store holds; 0 or less means
	// [DefaultMaxEntries]. When the store is full, Put evicts the unproved entry
	// nearest to its expiry. At most four fifths of MaxEntries, rounded down, are
	// proved: one more sends the proved entry nearest to its expiry back to the
	// unproved. See [external.Class].
	MaxEntries int

	// Now is the clock that entries expire by; nil means [time.Now].
	Now func() time.Time
}

// A Store is an [external.Store] in memory. It is linearizable, and loses an entry only
// when it is full and evicts it. The next Put frees the room of expired entries.
//
// Its formatted form, under every verb, contains neither keys nor values.
type Store struct {
	maxEntries int
	maxProved  int
	now        func() time.Time

	mu       sync.Mutex // guards the fields below
	entries  map[external.Key]*entry
	unproved byExpiry // each entry is in unproved
	proved   byExpiry // or in proved
	log      []byte   // nil if none was ever made
}

var (
	_ external.Store = (*Store)(nil)
	_ fmt.Formatter  = (*Store)(nil)
)

// New returns an empty store.
func New(cfg Config) *Store {
	s := &Store{
		maxEntries: DefaultMaxEntries,
		now:        time.Now,
		entries:    make(map[external.Key]*entry),
	}
	if cfg.MaxEntries > 0 {
		s.maxEntries = cfg.MaxEntries
	}
	s.maxProved = s.maxEntries/5*4 + s.maxEntries%5*4/5 // as s.maxEntries*4/5, which could overflow
	if cfg.Now != nil {
		s.now = cfg.Now
	}
	return s
}

// Put implements [external.Store]. It refuses a value of a size that the
// contract does not allow, so that the store's memory is bounded too.
func (s *Store) Put(ctx context.Context, key external.Key, value []byte, expires time.Time, class external.Class) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(value) < 1 || len(value) > external.MaxValueSize {
		return fmt.Errorf("memstore: put %v: a value of %d bytes", key, len(value))
	}
	e := &entry{key: key, value: bytes.Clone(value), expires: expires}

	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.removeExpired(now)
	s.remove(key)
	if e.expired(now) {
		return nil
	}
	s.add(e, class)
	return nil
}

// Get implements [external.Store].
func (s *Store) Get(ctx context.Context, key external.Key) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[key]
	if !ok || e.expired(s.now()) {
		return nil, external.ErrNotFound
	}
	return bytes.Clone(e.value), nil
}

// Take implements [external.Store].
func (s *Store) Take(ctx context.Context, key external.Key) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.remove(key)
	if e == nil || e.expired(s.now()) {
		return nil, external.ErrNotFound
	}
	return e.value, nil // nobody else has it
}

// Delete implements [external.Store].
func (s *Store) Delete(ctx context.Context, key external.Key) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(key)
	return nil
}

// Len returns how many entries take up room, expired ones included.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries)
}

// Format implements [fmt.Formatter].
func (s *Store) Format(f fmt.State, _ rune) { io.WriteString(f, "memstore.Store") }
