package external

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/internal/tombstone"
)

// ErrNotRecorded is wrapped by the errors of the End callback and of
// [External.SetKeys] for a removal that the store has not recorded yet. It holds in
// this process, is tried again in the background, and counts in
// [Stats.RemovalsPending] until the store has it.
var ErrNotRecorded = errors.New("the removal is not recorded in the session store yet")

var errClosed = errors.New("the External is closed")

// The room for tombstones. What operators remove and what clients cause to be removed
// have room of their own, each as much as a store that does nothing needs for a while:
// a tombstone takes about 300 bytes, with the removal that waits for it.
const (
	maxTombstones = 65536
	// settledTombstones is how many removals may be carried out while a look-up is in
	// flight before that look-up finds nothing.
	settledTombstones = 32768
)

// removals is what this process knows of what was removed: sessions by their keys, in
// tombstones, and lineages in the revocation log.
type removals struct {
	stones *tombstone.Set[Key]
	kept   *tombstone.Set[Key] // those of operators, until the session would have expired
	log    *revocations
}

func newRemovals(log *revocations) *removals {
	return &removals{
		stones: tombstone.New[Key](tombstone.Limits{Operator: maxTombstones, Client: maxTombstones, Settled: settledTombstones}),
		kept:   tombstone.New[Key](tombstone.Limits{Operator: maxTombstones}),
		log:    log,
	}
}

// name reports whether what a look-up that began at the mark found under key has been
// removed, or may have been.
func (r *removals) name(key Key, s *halfshake.Session, since tombstone.Mark) bool {
	return r.stones.Has(key, since) || r.ended(s)
}

// forbid reports whether s must not be put: a removal that is carried out already is
// the last word too.
func (r *removals) forbid(key Key, s *halfshake.Session) bool {
	return r.stones.Remembers(key) || r.ended(s)
}

// ended reports whether the session's lineage has ended.
func (r *removals) ended(s *halfshake.Session) bool {
	return r.stones.Below(tombstone.Scope(s.ScopeID()), s.LineageStart().UnixMilli()) || r.log.ends(s)
}

// add puts a tombstone on a session.
func (r *removals) add(key Key, s *halfshake.Session, cause halfshake.Cause, by uint32) {
	now := time.Now()
	stone := tombstone.Stone{
		Scope: tombstone.Scope(s.ScopeID()), Began: s.LineageStart().UnixMilli(),
		Until: s.Expires().Add(time.Second), ByClient: !byOperator(cause), By: by,
	}
	r.raise(r.stones.Add(key, stone, now))
	if byOperator(cause) {
		r.raise(r.kept.Add(key, stone, now))
	}
}

// raise records the floors that have taken the place of tombstones. The deletes that
// waited for these are dropped.
func (r *removals) raise(raised map[tombstone.Scope]int64) {
	for scope, before := range raised {
		r.log.add(halfshake.Removal{Scope: halfshake.ScopeID(scope), Before: time.UnixMilli(before)})
	}
}

// pending returns how many removals the store has not recorded.
func (r *removals) pending() int { return r.stones.Len() + r.log.pending() }

// byOperator reports whether no client can bring the cause about.
func byOperator(c halfshake.Cause) bool {
	return c == halfshake.CauseExplicit || c == halfshake.CauseRevoked
}

// remove is the Remove callback. What a process evicts, replaces, or drops when it is
// closed is still good for the fleet, and the store drops by itself what has expired.
func (e user) remove(ctx context.Context, _ *halfshake.Cache, s *halfshake.Session, cause halfshake.Cause) {
	if !cause.EndsSession() || cause == halfshake.CauseExpired && time.Now().After(s.Expires()) {
		return
	}
	id := s.ID()
	k := e.keys.Load().maker(id)
	if k == nil { // never found
		return
	}
	key := k.name(id)
	if e.removed.log.recorded(s) {
		e.writes.delete(key, cleanup, s.Expires())
		return
	}
	e.removed.add(key, s, cause, e.n)
	done := e.writes.delete(key, removal, s.Expires())
	if done != nil && byOperator(cause) {
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
}

// floor is the Floor callback.
func (e *External) floor(scope halfshake.ScopeID) time.Time {
	if before := e.removed.log.floor(scope); before > 0 {
		return time.UnixMilli(before)
	}
	return time.Time{}
}

// end is the End callback.
func (e *External) end(ctx context.Context, removed halfshake.Removal) error {
	if e.closed.Load() {
		return fmt.Errorf("external: %w: %w", ErrNotRecorded, errClosed)
	}
	return e.removed.log.end(ctx, removed)
}
