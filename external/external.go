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
// concurrent use, and one may serve several Caches, whose scopes keep their
// sessions apart.
//
// A store that is dead, slow, full or lying costs full handshakes and never a
// failed one. It is not closed with the External: it belongs to the caller.
type External struct {
	keys         atomic.Pointer[KeyRing]
	writeThrough time.Duration

	reads    *reader
	writes   *writer
	removed  *removals
	counters counters
	closed   atomic.Bool

	settingKeys sync.Mutex
	listing     [listLocks]sync.Mutex // guard the lists of client sessions
	users       atomic.Uint32         // of Callbacks
	latest      atomic.Int64          // the latest beginning of a lineage that was seen, in Unix milliseconds

	proved func(*halfshake.Session) bool // Proved, but in tests
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

// Callbacks returns what connects a [halfshake.Cache] to the store. Call it once for each
// Cache: what one of them removes, the others stop resuming from their own memory. An
// application may call the callbacks from callbacks of its own. Admit refuses every
// session whose id NewID did not make under one of the keys.
func (e *External) Callbacks() halfshake.Callbacks {
	u := user{e, e.users.Add(1)}
	return halfshake.Callbacks{NewID: e.newID, New: e.put, Get: e.get, Find: e.find, Remove: u.remove, Admit: u.admit, End: e.end, Floor: e.floor}
}

// SetKeys replaces the keys. No session that was made under a key which ring lacks is
// resumed any more, even from a Cache's own memory.
//
// If such a key was already in force, whoever has it may have resumed its sessions, and
// the sessions that came of that were made under later keys. So SetKeys also ends every
// lineage that began before the key's successor was in force, and records that in the
// store. For the last key, and for a ring that is replaced as a whole, these are all
// lineages; for a key that a rotation leaves out they are those which go back to its
// time. Each costs its client one full handshake.
//
// The new keys are in force when SetKeys returns, unless ring is empty, which is an
// error. An error that wraps [ErrNotRecorded] means that the store has not recorded
// within five seconds which lineages ended.
func (e *External) SetKeys(ring *KeyRing) error {
	if ring == nil || len(ring.keys) == 0 {
		return errors.New("external: SetKeys: there is no key in the ring")
	}
	e.settingKeys.Lock()
	defer e.settingKeys.Unlock()
	old := e.keys.Swap(ring)
	before, ended := old.endedWithout(ring, e.now())
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

// Close makes the writes that are queued, for at most five seconds, and ends the
// goroutines. From then on nothing is found, stored or removed. The error says how many
// removals the store has not recorded, whose sessions may resume after a restart, and
// how many new sessions were not stored. Close the [halfshake.Cache] before the
// External, and the store after it.
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

// A user is a Cache that uses the External, told from others by its Callbacks. What one
// has removed, the others may hold in their own memory.
type user struct {
	*External
	n uint32
}

// now is the present, or when the latest lineage that was seen began, if that is later:
// a machine whose clock is ahead may have made it. A time far from the present is no
// clock's.
func (e *External) now() time.Time {
	now := time.Now()
	if latest := time.UnixMilli(e.latest.Load()); latest.After(now) && latest.Before(now.Add(24*time.Hour)) {
		return latest
	}
	return now
}

// saw notes when the session's lineage began.
func (e *External) saw(s *halfshake.Session) {
	for began := s.LineageStart().UnixMilli(); ; {
		latest := e.latest.Load()
		if began <= latest || e.latest.CompareAndSwap(latest, began) {
			return
		}
	}
}

// put is the New callback. It keeps every session: what the store makes of it does
// not concern the internal cache.
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
	e.saw(s)
	key := k.name(id)
	if e.removed.forbid(key, s) {
		e.counters.removed.Add(1)
		return true
	}
	// No room to note what clients cause to be removed: store nothing that could be.
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
	if s.Client() {
		defer e.enlist(ctx, k, s)
	}
	if e.writeThrough == 0 {
		e.writes.put(op)
		return true
	}
	op.due = time.Time{} // it does not wait for the proof either
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

// String names the type alone; it and Format keep %v from the keys and queues.
func (e *External) String() string { return "external.External" }

// Format writes the same as String for every verb.
func (e *External) Format(f fmt.State, _ rune) { fmt.Fprint(f, e.String()) }
