package external

import (
	"context"
	"errors"

	"github.com/halfshake/halfshake"
)

// get is the Get callback. It never returns an error: what a store does wrong is
// counted here, and logged when it begins and when it ends, not at each handshake.
func (e *External) get(ctx context.Context, _ halfshake.ConnInfo, id []byte) (*halfshake.Session, error) {
	if e.closed.Load() {
		return nil, nil
	}
	ring := e.keys.Load()
	k := ring.maker(id)
	if k == nil {
		e.counters.foreign.Add(1)
		return nil, nil
	}
	key := k.name(id)
	asked := e.removed.stones.Mark()
	if e.removed.stones.Has(key, asked) {
		e.counters.removed.Add(1)
		return nil, nil
	}
	value := e.lookUp(ctx, key)
	if value == nil {
		return nil, nil
	}
	s := openSession(k, key, value)
	switch {
	case s == nil:
		e.counters.unreadable.Add(1)
		return nil, nil
	case e.removed.name(key, s, asked), e.dropped(ring, k): // meanwhile
		e.counters.removed.Add(1)
		return nil, nil
	}
	e.saw(s)
	e.counters.hits.Add(1)
	return s, nil
}

// lookUp returns the value under key, from the store or on its way there, and nil for a
// miss of any kind.
func (e *External) lookUp(ctx context.Context, key Key) []byte {
	if !e.removed.log.loaded.Load() {
		e.counters.readSkipped.Add(1)
		return nil
	}
	if value := e.writes.underway(key); value != nil {
		return value
	}
	value, err := e.reads.get(ctx, key)
	if errors.Is(err, ErrNotFound) {
		e.counters.notFound.Add(1)
	}
	return value
}

// dropped reports whether a key of the ring has been taken out of force since.
func (e *External) dropped(ring *KeyRing, k *fleetKey) bool {
	now := e.keys.Load()
	return now != ring && !now.holds(k)
}

// openSession returns the session in a value, nil if it does not open.
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

// admit is the Admit callback. It refuses what has been removed and what was made
// under no key of the ring, without I/O, wherever the Cache found it. A session that
// may be used once is taken from the store, so that of all machines one admits it.
func (e user) admit(ctx context.Context, _ halfshake.ConnInfo, s *halfshake.Session) bool {
	if e.closed.Load() {
		return false
	}
	ring := e.keys.Load()
	id := s.ID()
	k := ring.maker(id)
	if k == nil {
		e.counters.foreign.Add(1)
		return false
	}
	key := k.name(id)
	asked := e.removed.stones.Mark()
	if e.removed.name(key, s, asked) || e.removed.kept.HeldByAnother(key, e.n) {
		e.counters.removed.Add(1)
		return false
	}
	if !s.SingleUse() {
		return true
	}
	if !e.take(ctx, k, key) {
		return false
	}
	if e.removed.name(key, s, asked) || e.dropped(ring, k) { // meanwhile
		e.counters.removed.Add(1)
		return false
	}
	return true
}

// take takes the session out of the store, or out of the queue if it has not been put
// yet, and reports whether it was there. The caller is then the only one to have it.
func (e *External) take(ctx context.Context, k *fleetKey, key Key) bool {
	if !e.removed.log.loaded.Load() {
		e.counters.readSkipped.Add(1)
		return false
	}
	value := e.writes.claim(ctx, e.reads.limit, key)
	if value == nil {
		var err error
		if value, err = e.reads.take(ctx, key); err != nil {
			if errors.Is(err, ErrNotFound) {
				e.counters.notFound.Add(1)
			}
			return false
		}
	}
	if openSession(k, key, value) == nil {
		e.counters.unreadable.Add(1)
		return false
	}
	return true
}
