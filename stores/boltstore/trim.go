package boltstore

import (
	"go.etcd.io/bbolt"

	"github.com/halfshake/halfshake/external"
)

// trimmed is what a transaction takes out of the file, beside its batch's changes.
type trimmed struct {
	gone []edit
	next int64 // when the next entry expires; 0 if there is none
	more bool  // trimStep was reached
}

// A trimmer chooses what to take out: what has expired, and what must make room.
type trimmer struct {
	now    int64
	excess int64 // bytes that are still to be freed
	used   usage // what entries take once the transaction has done all else
	share  int64 // what proved entries may keep
	heads  [classes]head
}

// A head is the entry of a class that is nearest to its expiry and not yet chosen.
type head struct {
	cursor *bbolt.Cursor
	id     []byte // nil if there is none
	record record
}

// trim chooses the entries that have expired at now, and the entries to evict to
// free excess bytes. Used is what entries will take with the batch and without what
// trim chooses. The share of the proved is of that, and at least of capacity: a
// flood that fills pages badly must not shrink it.
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

// victim returns the class whose head must go next, and false if none must.
//
// Of the proved entries, those beyond their share are treated as unproved.
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

// nearest returns the class whose head is nearest to its expiry, and false if the
// file has no entry left.
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

// take moves the head of class on, and returns the deletion of what it was.
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
