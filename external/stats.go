package external

import "sync/atomic"

// Stats are the counters of an [External] since it was made, and its present state.
// They are read one by one, so related counters of a snapshot may differ by one.
type Stats struct {
	// Hits counts the look-ups that found a session, in the store or on its way there.
	Hits uint64 `json:"hits"`
	// NotFound counts the look-ups that found none. Removed counts the look-ups,
	// admissions and Puts that were refused because the session, its lineage or its key
	// has been removed. Foreign counts those of an id that was made under none of the
	// keys; the store is never asked for such ids.
	NotFound uint64 `json:"not_found"`
	Removed  uint64 `json:"removed"`
	Foreign  uint64 `json:"foreign"`
	// Unreadable counts the values that did not open: written under another key,
	// moved, changed or garbage.
	Unreadable uint64 `json:"unreadable"`
	// ReadFailed counts the reads that failed or timed out. ReadSkipped counts those that
	// were not made because the store does not answer, or because its revocation log is
	// not loaded yet. ReadLimited counts those that were not made because too many were
	// in flight.
	ReadFailed  uint64 `json:"read_failed"`
	ReadSkipped uint64 `json:"read_skipped"`
	ReadLimited uint64 `json:"read_limited"`

	// Put counts the sessions that were written, and PutFailed those whose write
	// failed. PutDropped counts those that were not written: the queue was full, the
	// store did not answer, there was no room to note removals that clients cause, or
	// the session was removed, resumed for the only time, or expired meanwhile.
	Put        uint64 `json:"put"`
	PutFailed  uint64 `json:"put_failed"`
	PutDropped uint64 `json:"put_dropped"`
	// Deleted counts the removals that were carried out, and DeleteFailed the attempts
	// that failed. DeleteDropped counts the removals that will not be carried out: the
	// session has expired, its lineage has ended, or the External was closed.
	Deleted       uint64 `json:"deleted"`
	DeleteFailed  uint64 `json:"delete_failed"`
	DeleteDropped uint64 `json:"delete_dropped"`

	// Queued is how many writes wait now, and QueuedBytes the length of their
	// values.
	Queued      uint64 `json:"queued"`
	QueuedBytes uint64 `json:"queued_bytes"`

	// RemovalsPending is how many removals of sessions, lineages and scopes the store
	// has not recorded yet. They hold in this process, and are lost if it ends.
	RemovalsPending uint64 `json:"removals_pending"`
	// Tombstones is how many removed sessions still wait to be deleted from the store.
	// EndedLineages is how many lineages the revocation log names one by one. Floors is
	// how many floors it has; a floor ends all lineages of a scope up to a given time.
	Tombstones    uint64 `json:"tombstones"`
	EndedLineages uint64 `json:"ended_lineages"`
	Floors        uint64 `json:"floors"`

	// Reading, Putting, Deleting, Taking and Recording say whether the store answers,
	// as of the last calls of that kind. Recording stands for the revocation log.
	Reading   bool `json:"reading"`
	Putting   bool `json:"putting"`
	Deleting  bool `json:"deleting"`
	Taking    bool `json:"taking"`
	Recording bool `json:"recording"`
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
	log := e.removed.log.status()
	tombstones := e.removed.stones.Len()
	return Stats{
		Hits: n.hits.Load(), NotFound: n.notFound.Load(), Removed: n.removed.Load(), Foreign: n.foreign.Load(),
		Unreadable: n.unreadable.Load(), ReadFailed: n.readFailed.Load(), ReadSkipped: n.readSkipped.Load(), ReadLimited: n.readLimited.Load(),
		Put: n.put.Load(), PutFailed: n.putFailed.Load(), PutDropped: n.putDropped.Load(),
		Deleted: n.deleted.Load(), DeleteFailed: n.deleteFailed.Load(), DeleteDropped: n.deleteDropped.Load(),
		Queued: uint64(queued), QueuedBytes: uint64(bytes),
		RemovalsPending: uint64(tombstones + log.pending), Tombstones: uint64(tombstones),
		EndedLineages: uint64(log.lineages), Floors: uint64(log.floors),
		Reading: e.reads.gets.closed(), Taking: e.reads.takes.closed(),
		Putting: e.writes.puts.closed(), Deleting: e.writes.deletes.closed(), Recording: log.answers,
	}
}
