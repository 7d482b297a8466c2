package boltstore

import (
	"slices"

	"go.etcd.io/bbolt"
)

const (
	// fillPercent fills pages: entries are appended, and inserted between others
	// only where lifetimes differ.
	fillPercent = 1

	// trimStep is how many entries one transaction lets expire, or evicts: more
	// than one puts, so that there are never more and more of them.
	trimStep = 2 * batchChanges
)

// An edit puts a record into the bucket of sessions, or deletes what is there if
// it has none.
type edit struct {
	id     id
	record record
}

func (e *edit) apply(sessions *bbolt.Bucket) error {
	if e.record == nil {
		return sessions.Delete(e.id[:])
	}
	return sessions.Put(e.id[:], e.record)
}

// edits returns what b comes to, in the order of the tree, where each edit finds
// the page of the one before in the processor's caches.
func (s *Store) edits(b *batch) []edit {
	edits := make([]edit, 0, len(b.changes)+b.edits)
	for key, c := range b.changes {
		old, ok := s.index[key] // which only this goroutine writes
		if ok && (c.record == nil || c.expires != old.expires) {
			edits = append(edits, edit{entryID(old.expires, key), nil})
		}
		if c.record != nil {
			edits = append(edits, edit{entryID(c.expires, key), c.record})
		}
	}
	slices.SortFunc(edits, func(a, b edit) int { return a.id.compare(b.id) })
	return edits
}

// trimmed is what a transaction takes away from the left end of the tree.
type trimmed struct {
	gone []id
	next int64 // when the next entry expires; 0 if there is none
	more bool  // of what has expired
}

// trim chooses what has expired, and what is nearest to it as far as excess bytes
// are to be freed.
func trim(sessions *bbolt.Bucket, now, excess int64) (t trimmed) {
	cursor := sessions.Cursor()
	for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
		e := id(k)
		t.next = e.expires()
		if t.next > now && excess <= 0 {
			return t
		}
		if len(t.gone) == trimStep {
			t.more = true
			return t
		}
		t.gone = append(t.gone, e)
		excess -= record(v).cost()
	}
	t.next = 0
	return t
}
