package boltstore

import (
	"go.etcd.io/bbolt"

	"github.com/halfshake/halfshake/external"
)

// trimmed says which entries a transaction deletes in addition to its batch's changes.
type trimmed struct {
	gone []edit
	next int64 // when the next entry expires; 0 if there is none
	more bool  // trimStep was reached
}

// A trimmer chooses the entries to delete: expired ones, and ones to evict.
type trimmer struct {
	now    int64
	excess int64 // bytes still to be freed
	used   usage // space that entries will use after the batch and the deletions so far
	share  int64 // bytes that proved entries may keep
	heads  [classes]head
}

// A head is a class's next candidate: of the entries not yet chosen, the one that expires
// first.
type head struct {
	cursor *bbolt.Cursor
	id     []byte // nil if the class has no more entries
	record record
}

// trim chooses the entries that have expired at now, and entries to evict to free excess
// bytes. used is the space that entries will use after the batch. Proved entries keep a
// share of what remains of it after the eviction, or of capacity if that is more, so that
// a flood that leaves pages partly empty cannot shrink their share.
func trim(sessions buckets, now, excess int64, used usage, capacity int64) (t trimmed) {
	r := &trimmer{now: now, excess: excess, used: used, share: fourFifths(max(used.total()-excess, capacity))}
	for class := range r.heads {
		h := &r.heads[class]
		h.cursor = sessions[class].Cursor()
		h.set(h.cursor.First())
	}
	for {
		class, ok := r.victim()
		if !ok {
			break
		}
		if t.more = len(t.gone) == trimStep; t.more {
			break
		}
		t.gone = append(t.gone, r.take(class))
	}
	if class, ok := r.nearest(); ok {
		t.next = r.heads[class].expires()
	}
	return t
}

// victim returns the class whose head must be deleted next, and false if none must be.
//
// Proved entries beyond their share are treated like unproved ones.
func (r *trimmer) victim() (external.Class, bool) {
	nearest, ok := r.nearest()
	switch {
	case !ok:
		return 0, false
	case r.heads[nearest].expires() <= r.now:
		return nearest, true
	case r.excess <= 0:
		return 0, false
	case r.used[external.ClassProved] > r.share:
		return nearest, true
	case r.heads[external.ClassUnproved].id != nil:
		return external.ClassUnproved, true
	}
	return external.ClassProved, true
}

// nearest returns the class whose head expires first, and false if no entry is left.
func (r *trimmer) nearest() (external.Class, bool) {
	unproved, proved := &r.heads[external.ClassUnproved], &r.heads[external.ClassProved]
	switch {
	case proved.id == nil:
		return external.ClassUnproved, unproved.id != nil
	case unproved.id == nil || proved.expires() < unproved.expires():
		return external.ClassProved, true
	}
	return external.ClassUnproved, true
}

// take returns the deletion of the head of class, and advances the head to the next entry.
func (r *trimmer) take(class external.Class) edit {
	h := &r.heads[class]
	gone := edit{class, id(h.id), nil}
	r.excess -= h.record.cost()
	r.used[class] -= h.record.cost()
	h.set(h.cursor.Next())
	return gone
}

func (h *head) set(id, value []byte) { h.id, h.record = id, value }

func (h *head) expires() int64 { return id(h.id).expires() }

// fourFifths rounds down and does not overflow.
func fourFifths(n int64) int64 { return n/5*4 + n%5*4/5 }
