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
// [External.SetKeys] for a removal that the store has not recorded yet. The removal holds
// in this process and is retried in the background. [Stats.RemovalsPending] counts it
// until the store has recorded it.
var ErrNotRecorded = errors.New("the removal is not recorded in the session store yet")

var errClosed = errors.New("the External is closed")

// The room for tombstones. Removals by operators and removals caused by clients each have
// this much room, enough to wait for a while for a store that does not answer. A
// tombstone takes about 300 bytes, including the removal that waits in the queue.
const (
	tombstoneRoom = 65536
	// settledRoom is how many removals may be carried out while a look-up is in
	// flight before that look-up finds nothing.
	settledRoom = 32768
)

// removals remembers what was removed: tombstones name sessions by their keys, and the
// revocation log names lineages.
type removals struct {
	stones *tombstone.Set[Key]
	log    *revocations
}

func newRemovals(log *revocations) *removals {
	return &removals{
		stones: tombstone.New[Key](tombstone.Room{Operator: tombstoneRoom, Client: tombstoneRoom, Settled: settledRoom}),
		log:    log,
	}
}

// name reports whether the session that a look-up found under key has been removed, or
// may have been. since is the mark at which the look-up began.
func (r *removals) name(key Key, s *halfshake.Session, since tombstone.Mark) bool {
	return r.stones.Has(key, since) || r.ended(s)
}

// forbid reports whether s must not be put, because it was removed. That includes
// removals that have already been carried out.
func (r *removals) forbid(key Key, s *halfshake.Session) bool {
	return r.stones.Remembers(key) || r.ended(s)
}

// ended reports whether the session's lineage has ended.
func (r *removals) ended(s *halfshake.Session) bool {
	return r.stones.Below(tombstone.Scope(s.ScopeID()), s.LineageStart().UnixMilli()) || r.log.ends(s)
}

// add puts a tombstone on a session.
func (r *removals) add(key Key, s *halfshake.Session, cause halfshake.Cause) {
	raised := r.stones.Add(key, tombstone.Stone{
		Scope: tombstone.Scope(s.ScopeID()), Began: s.LineageStart().UnixMilli(),
		Until: s.Expires().Add(time.Second), ByClient: !byOperator(cause),
	}, time.Now())
	for scope, before := range raised { // their queued deletes will be dropped
		r.log.add(halfshake.Removal{Scope: halfshake.ScopeID(scope), Before: time.UnixMilli(before)})
	}
}

// pending returns how many removals the store has not recorded.
func (r *removals) pending() int { return r.stones.Len() + r.log.pending() }

// byOperator reports whether only an operator, and no client, can cause the removal.
func byOperator(c halfshake.Cause) bool {
	return c == halfshake.CauseExplicit || c == halfshake.CauseRevoked
}

// remove is the Remove callback. A session that one process evicts, replaces, or drops
// when it closes is still valid for the fleet. The store drops expired sessions itself.
func (e *External) remove(ctx context.Context, _ *halfshake.Cache, s *halfshake.Session, cause halfshake.Cause) {
	if !cause.EndsSession() || cause == halfshake.CauseExpired {
		return
	}
	id := s.ID()
	k := e.keys.Load().maker(id)
	if k == nil { // it can never be found
		return
	}
	key := k.name(id)
	if e.removed.log.recorded(s) {
		e.writes.delete(key, cleanup, s.Expires())
		return
	}
	e.removed.add(key, s, cause)
	done := e.writes.delete(key, removal, s.Expires())
	if done != nil && byOperator(cause) {
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
}

// end is the End callback.
func (e *External) end(ctx context.Context, removed halfshake.Removal) error {
	if e.closed.Load() {
		return fmt.Errorf("external: %w: %w", ErrNotRecorded, errClosed)
	}
	return e.removed.log.end(ctx, removed)
}
