package halfshake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/halfshake/halfshake/internal/tombstone"
)

// removals remembers what a Cache has removed. A look-up in flight, here or in the
// external cache, may still return a removed session. The Cache then neither resumes nor
// stores it.
type removals struct {
	removed  *tombstone.Set[string]  // sessions, by id
	lineages *tombstone.Set[Lineage] // lineages
	floor    atomic.Int64            // in Unix milliseconds: all lineages that began then or earlier are removed; 0 for none
	latest   atomic.Int64            // the latest beginning of a lineage that was seen, in Unix milliseconds
	retrying job                     // which has the End callback record what it could not
	sweeping job                     // removes the sessions of removed lineages

	// unrecorded counts the removals that the external cache was never told of, because
	// End is not set, the Remove callback failed, or there were too many to keep.
	unrecorded atomic.Uint64

	mu      sync.Mutex
	pending []Removal // not yet recorded by the End callback
}

const (
	// maxTombstones bounds the removals by operators that are remembered, and equally
	// the removals that clients cause.
	maxTombstones = 65536
	// settledTombstones bounds the tombstones that are kept only for look-ups in flight.
	settledTombstones = 65536
	// maxPendingEnds bounds the removals that wait for the End callback.
	maxPendingEnds = 1024
	// longestRetryPause is the longest time between two attempts to record removals.
	longestRetryPause = 10 * time.Second
)

func newRemovals() removals {
	return removals{
		removed:  tombstone.New[string](tombstone.Limits{Operator: maxTombstones, Client: maxTombstones, Settled: settledTombstones}),
		lineages: tombstone.New[Lineage](tombstone.Limits{Operator: maxTombstones}),
	}
}

// lineageRemoved reports whether the session's lineage has been removed, by itself or by
// the floor.
func (c *Cache) lineageRemoved(s *Session) bool {
	floor := c.floor.Load()
	return floor > 0 && s.lineage.milli() <= floor || c.lineages.Holds(s.lineage)
}

// isRemoved reports whether a session that a look-up found has been removed, or may
// have been since the look-up began.
func (c *Cache) isRemoved(s *Session, asked tombstone.Mark) bool {
	return c.removed.Has(s.id, asked) || c.lineageRemoved(s)
}

// Remove removes the session with the same id from the internal cache. If the cache does
// not hold it, Remove returns false, but still calls the Remove callback so that an
// external copy is deleted too. For a nil session it only returns false. Sessions that
// descend from s stay; [Cache.RemoveLineage] removes those as well.
func (c *Cache) Remove(s *Session) bool {
	if s == nil || !validID(s.id) {
		return false
	}
	ctx, cancel := c.callbackContext()
	defer cancel()
	return c.remove(ctx, s, CauseExplicit)
}

// remove takes the session with s's id out of the internal cache and calls the Remove
// callback, with s itself if the cache does not hold it. It adds the tombstone first, so
// that no look-up in flight brings the session back.
func (c *Cache) remove(ctx context.Context, s *Session, cause Cause) bool {
	c.bury(s, cause)
	held, ok := c.internal.Remove(s.id)
	if ok {
		s = held.Session
	}
	c.settle(c.callRemove(ctx, cause, s), s, cause)
	return ok
}

// decline removes a session for which the New callback returned false. It calls Remove
// only if the session had been stored in the internal cache. Otherwise the tombstone
// stays while Get is set, because the New callback may have stored the session anyway.
func (c *Cache) decline(ctx context.Context, s *Session, stored bool) {
	c.bury(s, CauseDeclined)
	if c.internal.Drop(sessionEntry{s}) || stored {
		c.settle(c.callRemove(ctx, CauseDeclined, s), s, CauseDeclined)
	} else if c.GetCallback() == nil {
		c.removed.Settle(s.id)
	}
}

func (c *Cache) bury(s *Session, cause Cause) {
	c.raiseFloor(c.removed.Add(s.id, tombstone.Stone{
		Began: s.lineage.milli(), Until: s.Expires().Add(time.Second), ByClient: !cause.byOperator(),
	}, c.now()))
}

// raiseFloor raises the floor to those that have replaced tombstones. A Cache has a
// single Scope.
func (c *Cache) raiseFloor(raised map[tombstone.Scope]int64) {
	for _, floor := range raised {
		raise(&c.floor, floor)
	}
}

// settle settles the tombstone of s if the application has been told of the removal. With
// an external cache, which may still return a copy, a session that an operator removed
// stays refused until it would have expired.
func (c *Cache) settle(told bool, s *Session, cause Cause) {
	kept := cause.byOperator() && c.GetCallback() != nil
	switch {
	case told && !kept:
		c.removed.Settle(s.id)
	case !told && kept:
		c.unrecorded.Add(1)
	}
}

// byOperator reports whether only an operator, and no client, can cause the removal.
func (c Cause) byOperator() bool { return c == CauseExplicit || c == CauseRevoked }

// RemoveLineage removes every session of the lineage. From now on none of them resumes,
// even if its look-up is in flight, and no new session made from them is stored. The
// internal cache drops its sessions soon after and calls Remove for each, with
// [CauseRevoked].
//
// RemoveLineage returns the error of the End callback, which records the removal for the
// external cache, for other machines and beyond a restart. After an error the removal
// holds in this process. The Cache goes on trying to record it, and
// [Stats.RemovalsPending] counts it until then.
func (c *Cache) RemoveLineage(l Lineage) error {
	if l == (Lineage{}) { // no session's
		return nil
	}
	now := c.now()
	until := now.Add(MaxTimeout) // another process may have longer timeouts
	c.raiseFloor(c.lineages.Add(l, tombstone.Stone{Began: l.milli(), Until: until}, now))
	c.inBackground(&c.sweeping, c.sweep)
	return c.end(Removal{Lineage: l, Scope: c.scopeID, Until: until})
}

// Flush removes the sessions that have expired at now, those that expire first before
// the others, and returns how many it removed. With a time in the future, it removes
// sessions that are still valid, as [Cache.Remove] does, and reports [CauseExplicit].
//
// With the zero time, Flush removes every session of this Cache's Scope, in the external
// cache too, and returns how many the internal cache held. If the End callback cannot
// record that, or is not set although Get is, [Stats.RemovalsPending] counts it.
func (c *Cache) Flush(now time.Time) (n int) {
	ctx, cancel := c.callbackContext()
	defer cancel()
	if now.IsZero() {
		return c.flushAll(ctx)
	}
	present := c.now()
	for e := range c.internal.Expire(now) {
		if e.expiredAt(present) {
			c.callRemove(ctx, CauseExpired, e.Session)
		} else {
			c.remove(ctx, e.Session, CauseExplicit)
		}
		n++
	}
	return n
}

func (c *Cache) flushAll(ctx context.Context) (n int) {
	now := c.now()
	floor := max(now.UnixMilli(), c.floor.Load(), c.latest.Load())
	raise(&c.floor, floor)
	c.end(Removal{Scope: c.scopeID, Before: time.UnixMilli(floor), Until: now.Add(MaxTimeout)})
	for e := range c.internal.Clear() {
		cause := CauseExplicit
		if e.expiredAt(now) {
			cause = CauseExpired
		}
		c.callRemove(ctx, cause, e.Session)
		n++
	}
	return n
}

// end has the End callback record a removal. If that succeeds, it retries the removals
// that failed earlier.
func (c *Cache) end(r Removal) error {
	ctx, cancel := c.callbackContext()
	defer cancel()
	err := c.callEnd(ctx, r)
	switch {
	case errors.Is(err, errNoEnd):
		c.unrecorded.Add(1)
	case err != nil:
		c.postpone(r)
		c.inBackground(&c.retrying, c.retryUntilRecorded)
	default:
		c.retryEnds(ctx)
	}
	return err
}

// retryUntilRecorded retries the removals that End has not recorded, until it has or the
// Cache is closed.
func (c *Cache) retryUntilRecorded() {
	for pause := time.Second; c.pendingEnds() > 0; pause = min(2*pause, longestRetryPause) {
		select {
		case <-time.After(pause):
		case <-c.ctx.Done():
			return
		}
		ctx, cancel := c.callbackContext()
		c.retryEnds(ctx)
		cancel()
	}
}

// postpone keeps a removal that End has not recorded. If there are too many, it forgets
// the oldest, which still holds in this process.
func (c *Cache) postpone(r Removal) {
	c.removals.mu.Lock()
	defer c.removals.mu.Unlock()
	if len(c.pending) == maxPendingEnds {
		c.pending = c.pending[1:]
		c.unrecorded.Add(1)
	}
	c.pending = append(c.pending, r)
}

// retryEnds has the End callback record the removals that failed earlier. Until it has,
// they stay pending.
func (c *Cache) retryEnds(ctx context.Context) {
	c.removals.mu.Lock()
	again := slices.Clone(c.pending)
	c.removals.mu.Unlock()
	for _, r := range again {
		if c.now().Before(r.Until) && c.callEnd(ctx, r) != nil {
			continue
		}
		c.removals.mu.Lock()
		c.pending = slices.DeleteFunc(c.pending, func(p Removal) bool { return p == r })
		c.removals.mu.Unlock()
	}
}

// pendingEnds returns how many removals End can still record.
func (c *Cache) pendingEnds() int {
	c.removals.mu.Lock()
	defer c.removals.mu.Unlock()
	return len(c.pending)
}

// notRecorded returns how many removals the external cache does not know of.
func (c *Cache) notRecorded() uint64 { return uint64(c.pendingEnds()) + c.unrecorded.Load() }

// closeRemovals makes a last attempt to record removals, and returns an error if some are
// left.
func (c *Cache) closeRemovals() error {
	ctx, cancel := c.callbackContext()
	defer cancel()
	c.retryEnds(ctx)
	if n := c.notRecorded(); n > 0 {
		return fmt.Errorf("halfshake: close: the external cache has not recorded %d removals; their sessions may resume after a restart", n)
	}
	return nil
}

// sweep removes the sessions of removed lineages from the internal cache.
func (c *Cache) sweep() {
	ctx, cancel := c.callbackContext()
	defer cancel()
	gone := func(record []byte) bool { return c.lineages.Holds(lineageOfBody(record)) }
	for e := range c.internal.RemoveWhere(len(Lineage{}), gone) {
		c.callRemove(ctx, CauseRevoked, e.Session)
	}
}
