package boltstore

import "github.com/halfshake/halfshake/external"

// classes is the number of classes, each of which has a bucket of its own.
const classes = int(external.ClassProved) + 1

// A slot says where the file has an entry, and how large it is. It has 16 bytes,
// because the index holds one for each entry.
type slot struct {
	expires int64

	// generation tells apart the values that were put under one key, as long as
	// fewer than 2^32 are put between two looks at it.
	generation uint32
	size       uint16 // of the record
	class      external.Class
}

func (at slot) id(key external.Key) id { return entryID(at.expires, key) }

// sameID reports whether two slots of one key are the same place in the file.
func (at slot) sameID(other slot) bool {
	return at.expires == other.expires && at.class == other.class
}

func (at slot) cost() int64 { return costOf(int(at.size)) }

// usage is what the entries of each class take of the file, as record.cost has it.
type usage [classes]int64

func (u usage) total() int64 { return u[external.ClassUnproved] + u[external.ClassProved] }

// An index is what the file has.
type index struct {
	slots map[external.Key]slot
	used  usage
}

func newIndex() *index { return &index{slots: make(map[external.Key]slot)} }

func (x *index) put(key external.Key, at slot) {
	x.remove(key)
	x.slots[key] = at
	x.used[at.class] += at.cost()
}

func (x *index) remove(key external.Key) {
	if at, ok := x.slots[key]; ok {
		x.used[at.class] -= at.cost()
		delete(x.slots, key)
	}
}
