package boltstore

import (
	"slices"

	"go.etcd.io/bbolt"

	"github.com/halfshake/halfshake/external"
)

const (
	// fillPercent fills pages completely, because most entries are appended.
	fillPercent = 1

	// trimStep limits how many expired and evicted entries one transaction deletes. It is
	// more than one transaction puts, so that the store catches up.
	trimStep = 2 * batchChanges
)

// buckets are the session buckets, by class.
type buckets [classes]*bbolt.Bucket

func sessionsOf(tx *bbolt.Tx) (b buckets) {
	for class, name := range sessionsBuckets {
		b[class] = tx.Bucket(name)
		b[class].FillPercent = fillPercent
	}
	return b
}

// An edit puts a record into the bucket of its class. If record is nil, it deletes the
// entry.
type edit struct {
	class  external.Class
	id     id
	record record
}

func (e *edit) apply(sessions buckets) error {
	if e.record == nil {
		return sessions[e.class].Delete(e.id[:])
	}
	return sessions[e.class].Put(e.id[:], e.record)
}

// edits returns the edits that make b's changes, and the space that entries will use
// after them. The edits are in the order of the trees, so that each finds the previous
// one's page in the processor's caches.
func (s *Store) edits(b *batch) (edits []edit, used usage) {
	edits, used = make([]edit, 0, len(b.changes)+b.edits), s.index.used
	for key, c := range b.changes {
		if old, ok := s.index.slots[key]; ok { // no lock, because only this goroutine writes the index
			used[old.class] -= old.cost()
			edits = append(edits, edit{old.class, old.id(key), nil})
		}
		if c.record != nil {
			used[c.class] += c.cost()
			edits = append(edits, edit{c.class, c.id(key), c.record})
		}
	}
	slices.SortFunc(edits, func(a, b edit) int {
		if a.class != b.class {
			return int(a.class) - int(b.class)
		}
		return a.id.compare(b.id)
	})
	return edits, used
}
