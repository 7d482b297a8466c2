package external

import "sync/atomic"

// Stats are the counters of an [External] since it was made, and how it stands
// now. They are read one by one, so a snapshot may be one apart from itself.
type Stats struct {
	// Hits counts the look-ups that found a session, those of them too that were
	// still on their way to the store.
	Hits uint64 `json:"hits"`
	// NotFound counts those for which there was none, Removed those (and Puts) for a
	// session that this process has removed, and Foreign those for an id that was made
	// under none of the keys and is not looked up in the store.
	NotFound uint64 `json:"not_found"`
	Removed  uint64 `json:"removed"`
	Foreign  uint64 `json:"foreign"`
	// Unreadable counts the values that did not open: written under another key,
	// moved, changed or garbage.
	Unreadable uint64 `json:"unreadable"`
	// ReadFailed counts the reads that ended in an error or not in time,
	// ReadSkipped those that were not made because the store does not answer, and
	// ReadLimited those that were not made because too many were in flight.
	ReadFailed  uint64 `json:"read_failed"`
	ReadSkipped uint64 `json:"read_skipped"`
	ReadLimited uint64 `json:"read_limited"`

	// Put counts the sessions that were written, PutFailed those whose write
	// failed, and PutDropped those that were not written: the queue was full, the
	// store did not answer, or the session was removed or expired meanwhile.
	Put        uint64 `json:"put"`
	PutFailed  uint64 `json:"put_failed"`
	PutDropped uint64 `json:"put_dropped"`
	// Deleted counts the removals that were carried out, DeleteFailed the attempts
	// that failed and are made again, and DeleteDropped those that never will be.
	Deleted       uint64 `json:"deleted"`
	DeleteFailed  uint64 `json:"delete_failed"`
	DeleteDropped uint64 `json:"delete_dropped"`

	// Queued is how many writes wait now, and QueuedBytes the length of their
	// values.
	Queued      uint64 `json:"queued"`
	QueuedBytes uint64 `json:"queued_bytes"`
	// Reading, Putting and Deleting say whether the store does what it is asked to,
	// as of the last call of that kind.
	Reading  bool `json:"reading"`
	Putting  bool `json:"putting"`
	Deleting bool `json:"deleting"`
}

type counters struct {
	hits, notFound, removed, foreign, unreadable atomic.Uint64
	readFailed, readSkipped, readLimited         atomic.Uint64
	put, putFailed, putDropped                   atomic.Uint64
	deleted, deleteFailed, deleteDropped         atomic.Uint64
}

// Stats returns the counters.
func (e *External) Stats() Stats {
	n := &e.counters
	queued, bytes := e.writes.waiting()
	return Stats{
		Hits: n.hits.Load(), NotFound: n.notFound.Load(), Removed: n.removed.Load(), Foreign: n.foreign.Load(),
		Unreadable: n.unreadable.Load(), ReadFailed: n.readFailed.Load(), ReadSkipped: n.readSkipped.Load(), ReadLimited: n.readLimited.Load(),
		Put: n.put.Load(), PutFailed: n.putFailed.Load(), PutDropped: n.putDropped.Load(),
		Deleted: n.deleted.Load(), DeleteFailed: n.deleteFailed.Load(), DeleteDropped: n.deleteDropped.Load(),
		Queued: uint64(queued), QueuedBytes: uint64(bytes),
		Reading: e.reads.state.closed(), Putting: e.writes.puts.closed(), Deleting: e.writes.deletes.closed(),
	}
}
