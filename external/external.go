package external

import (
	"context"
	"errors"
	"fmt"
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
	absent   *absentees // the store has none of these, as of a moment ago
	removed  *absentees // this process has removed these, whatever the store says
	counters counters
	closed   atomic.Bool
}

const (
	// absentFor is how long a key that the store did not have is not asked for
	// again: short, since another machine's session may be on its way.
	absentFor      = time.Second
	absentCount    = 8192
	removedCount   = 32768
	closeGraceTime = time.Second
)

// New makes an External over store. It starts goroutines, which end with
// [External.Close].
func New(store Store, cfg Config) (*External, error) {
	if store == nil {
		return nil, errors.New("external: the Store is nil; open one with a driver's package")
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	e := &External{
		writeThrough: cfg.WriteThrough,
		absent:       newAbsentees(absentCount),
		removed:      newAbsentees(removedCount),
	}
	e.keys.Store(cfg.Keys)
	e.reads = newReader(store, cfg, &e.counters)
	e.writes = newWriter(store, cfg, &e.counters)
	return e, nil
}

// Callbacks returns what connects a [halfshake.Cache] to the store. An
// application may call them from callbacks of its own.
func (e *External) Callbacks() halfshake.Callbacks {
	return halfshake.Callbacks{NewID: e.newID, New: e.put, Get: e.get, Remove: e.remove}
}

// SetKeys makes ring the keys from now on. Sessions made under a key that it does
// not hold are not found any more in the store. Those that a Cache holds itself are:
// where the old keys are to be worthless at once, remove each whose id
// [KeyRing.Made] does not know.
func (e *External) SetKeys(ring *KeyRing) error {
	if ring == nil || len(ring.keys) == 0 {
		return errors.New("external: SetKeys: there is no key in the ring")
	}
	e.keys.Store(ring)
	return nil
}

// Close writes what is queued, for at most five seconds, and ends the goroutines.
// From then on nothing is found and nothing stored. The error says how many writes
// were not made. It must come before the store's own Close, and after the
// [halfshake.Cache]'s.
func (e *External) Close() error {
	if e.closed.Swap(true) {
		return nil
	}
	return errors.Join(e.writes.close(), e.reads.close())
}

func (e *External) newID(halfshake.ConnInfo) ([]byte, error) {
	return e.keys.Load().current(time.Now()).newID(), nil
}

// put is the New callback. It keeps every session: what the store makes of it does
// not concern the internal cache.
func (e *External) put(ctx context.Context, _ halfshake.ConnInfo, s *halfshake.Session) (keep bool) {
	if e.closed.Load() {
		return true
	}
	id := s.ID()
	k := e.keys.Load().maker(id)
	if k == nil { // another NewID's
		e.counters.foreign.Add(1)
		return true
	}
	key := k.name(id)
	if e.removed.has(key) { // once removed, for ever: a removal may still be on its way
		e.counters.removed.Add(1)
		return true
	}
	value, err := sealSession(k, key, s)
	if err != nil {
		e.counters.putDropped.Add(1)
		return true
	}
	e.absent.forget(key) // who saw the id on the wire may have asked for it already
	w := &write{key: key, value: value, expires: s.Expires()}
	if e.writeThrough > 0 {
		w.done = make(chan struct{})
	}
	if e.writes.add(w) && w.done != nil {
		waitFor(ctx, w.done, e.writeThrough)
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

// get is the Get callback. It never returns an error: what a store does wrong is
// counted here, and logged when it begins and when it ends, not at each handshake.
func (e *External) get(ctx context.Context, _ halfshake.ConnInfo, id []byte) (*halfshake.Session, error) {
	if e.closed.Load() {
		return nil, nil
	}
	k := e.keys.Load().maker(id)
	if k == nil {
		e.counters.foreign.Add(1)
		return nil, nil
	}
	key := k.name(id)
	if e.removed.has(key) {
		e.counters.removed.Add(1)
		return nil, nil
	}
	value := e.find(ctx, key)
	if value == nil {
		return nil, nil
	}
	s := openSession(k, key, value)
	switch {
	case s == nil:
		e.counters.unreadable.Add(1)
		e.absent.add(key, time.Now().Add(absentFor))
		return nil, nil
	case e.removed.has(key): // meanwhile
		e.counters.removed.Add(1)
		return nil, nil
	}
	e.counters.hits.Add(1)
	return s, nil
}

// find returns the value under key: one that is still on its way to the store, or
// the store's; nil if there is none, for whatever reason.
func (e *External) find(ctx context.Context, key Key) []byte {
	if value := e.writes.underway(key); value != nil {
		return value
	}
	if e.absent.has(key) {
		e.counters.notFound.Add(1)
		return nil
	}
	value, err := e.reads.read(ctx, key)
	if errors.Is(err, ErrNotFound) {
		e.counters.notFound.Add(1)
		e.absent.add(key, time.Now().Add(absentFor))
	}
	return value
}

// openSession returns the session in a value, nil if there is none.
func openSession(k *fleetKey, key Key, value []byte) *halfshake.Session {
	session, err := k.open(key, value)
	if err != nil {
		return nil
	}
	s, err := halfshake.ParseSession(session)
	if err != nil || k.name(s.ID()) != key {
		return nil
	}
	return s
}

// remove is the Remove callback. What one process evicts, lets expire, replaces or
// drops when it is closed stays the fleet's.
func (e *External) remove(_ context.Context, _ *halfshake.Cache, s *halfshake.Session, cause halfshake.Cause) {
	if !cause.EndsSession() || cause == halfshake.CauseExpired { // the store lets it expire by itself
		return
	}
	id := s.ID()
	k := e.keys.Load().maker(id)
	if k == nil || e.closed.Load() {
		return
	}
	key := k.name(id)
	e.removed.add(key, s.Expires().Add(time.Second))
	e.writes.add(&write{key: key, expires: s.Expires()})
}

// String names the type alone; it and Format keep %v from the keys and queues.
func (e *External) String() string { return "external.External" }

// Format writes the same as String for every verb.
func (e *External) Format(f fmt.State, _ rune) { fmt.Fprint(f, e.String()) }
