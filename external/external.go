package external

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/halfshake/halfshake"
)

// An External is an external session cache over a [Store]. It is safe for
// concurrent use. One External may serve several Caches; their scopes keep their
// sessions apart.
//
// A store that is down, slow, full or lying costs full handshakes, never a failed one.
// The store belongs to the caller: closing the External does not close it.
type External struct {
	keys         atomic.Pointer[KeyRing]
	writeThrough time.Duration

	reads    *reader
	writes   *writer
	removed  *removals
	counters counters
	closed   atomic.Bool

	settingKeys sync.Mutex

	proved func(*halfshake.Session) bool // Session.Proved, except in tests
}

// New makes an External over store. It starts goroutines, which end with
// [External.Close].
//
// New loads what was removed from the store's revocation log, and waits up to a second
// for it. If the store does not answer, the External goes on trying in the
// background, and finds no session until it has succeeded.
func New(store Store, cfg Config) (*External, error) {
	if store == nil {
		return nil, errors.New("external: the Store is nil; open one with a driver's package")
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	e := &External{writeThrough: cfg.WriteThrough, proved: (*halfshake.Session).Proved}
	e.keys.Store(cfg.Keys)
	e.removed = newRemovals(newRevocations(store, &e.keys, logger{cfg.Logger}))
	e.reads = newReader(store, cfg, &e.counters)
	e.writes = newWriter(store, cfg, e.removed, &e.counters)
	return e, nil
}

// Callbacks returns the callbacks that connect a [halfshake.Cache] to the store. An
// application may call them from its own callbacks. Admit refuses every session whose id
// was not made by NewID under one of the keys.
func (e *External) Callbacks() halfshake.Callbacks {
	return halfshake.Callbacks{NewID: e.newID, New: e.put, Get: e.get, Remove: e.remove, Admit: e.admit, End: e.end}
}

// SetKeys replaces the keys. From then on, no session made under a key that is missing
// from ring resumes, even from a Cache's own memory.
//
// If a missing key was already in force, an attacker who has it may have resumed its
// sessions and so obtained new sessions under later keys. SetKeys therefore also ends
// every lineage that began before the key's successor was in force, and records that in
// the store. If the last key is missing, or the whole ring is replaced, that ends all
// lineages. If a rotation dropped an old key, it ends those that began in that key's time
// or earlier. Each ended lineage costs its client one full handshake.
//
// The new keys are in force when SetKeys returns, unless ring is empty, which is an
// error. An error that wraps [ErrNotRecorded] means that the store has not recorded
// within five seconds which lineages ended.
func (e *External) SetKeys(ring *KeyRing) error {
	if ring == nil || len(ring.keys) == 0 {
		return errors.New("external: SetKeys: the ring has no keys")
	}
	e.settingKeys.Lock()
	defer e.settingKeys.Unlock()
	old := e.keys.Swap(ring)
	before, ended := old.endedWithout(ring, time.Now())
	if !ended {
		e.removed.log.signal() // to seal the log under a new current key
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeLimit)
	defer cancel()
	if err := e.removed.log.wait(ctx, e.removed.log.endAll(before)); err != nil {
		return fmt.Errorf("external: SetKeys: the new keys are in force, but %w", err)
	}
	return nil
}

// Close makes the queued writes, for at most five seconds, and ends the goroutines. From
// then on nothing is found, stored or removed. The error says how many removals the store
// has not recorded, so that their sessions may resume after a restart, and how many new
// sessions were not stored. Close the [halfshake.Cache] before the External, and the
// store after it.
func (e *External) Close() error {
	if e.closed.Swap(true) {
		return nil
	}
	var writes, log error
	var both sync.WaitGroup
	both.Go(func() { writes = e.writes.close() })
	both.Go(func() { log = e.removed.log.close() })
	both.Wait()
	var removals error
	if n := e.removed.pending(); n > 0 {
		removals = fmt.Errorf("external: close: the store has not recorded %d removals; their sessions may resume after a restart", n)
	}
	return errors.Join(removals, writes, log, e.reads.close())
}

func (e *External) newID(halfshake.ConnInfo) ([]byte, error) {
	return e.keys.Load().current(time.Now()).newID(), nil
}

// put is the New callback. It always returns true: the internal cache keeps a session
// even if the store does not.
func (e *External) put(ctx context.Context, _ halfshake.ConnInfo, s *halfshake.Session) (keep bool) {
	if e.closed.Load() {
		return true
	}
	id := s.ID()
	k := e.keys.Load().maker(id)
	if k == nil { // another NewID made it
		e.counters.foreign.Add(1)
		return true
	}
	key := k.name(id)
	if e.removed.forbid(key, s) {
		e.counters.removed.Add(1)
		return true
	}
	// Without room for tombstones, store nothing that a client could cause to be removed.
	if e.removed.stones.Full(time.Now()) {
		e.counters.putDropped.Add(1)
		return true
	}
	value, err := sealSession(k, key, s)
	if err != nil {
		e.counters.putDropped.Add(1)
		return true
	}
	op := newPut(key, value, s, e.proved)
	if e.writeThrough == 0 {
		e.writes.put(op)
		return true
	}
	op.due = time.Time{} // nor does it wait for the proof
	if e.writes.put(op) {
		waitFor(ctx, op.done, e.writeThrough)
	}
	return true
}

func sealSession(k *fleetKey, key Key, s *halfshake.Session) ([]byte, error) {
	session, err := s.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return k.seal(key, session)
}

func waitFor(ctx context.Context, done <-chan struct{}, limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// String returns only the type's name. It and Format keep %v from showing keys.
func (e *External) String() string { return "external.External" }

// Format writes the same as String for every verb.
func (e *External) Format(f fmt.State, _ rune) { fmt.Fprint(f, e.String()) }
