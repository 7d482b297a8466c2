package boltstore

import "github.com/halfshake/halfshake/external"

// classes is the number of classes. Each class has its own bucket.
const classes = int(external.ClassProved) + 1

// A slot says where an entry is in the file and how large it is. It is kept to 16 bytes,
// because the index holds one for each entry.
type slot struct {
	expires int64
	serial  uint32 // the number of its Put, which tells apart the values put under one key
	size    uint16 // of the record
	class   external.Class
}

func (at slot) cost() int64 { return costOf(int(at.size)) }

// usage is the space that the entries of each class use in the file, by record.cost.
type usage [classes]int64

func (u usage) total() int64 { return u[external.ClassUnproved] + u[external.ClassProved] }

// An index lists the entries in the file.
type index struct {
	slots  map[external.Key]slot
	used   usage
	serial uint32 // the largest serial number put so far
}

func newIndex() *index { return &index{slots: make(map[external.Key]slot)} }

func (x *index) put(key external.Key, at slot) {
	x.remove(key)
	x.slots[key] = at
	x.used[at.class] += at.cost()
	x.serial = max(x.serial, at.serial)
}

func (x *index) remove(key external.Key) {
	if at, ok := x.slots[key]; ok {
		x.used[at.class] -= at.cost()
		delete(x.slots, key)
	}
}
