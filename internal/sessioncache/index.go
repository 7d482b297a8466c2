package sessioncache

import (
	"hash/maphash"
	"math"
	"math/bits"
)

// hasher hashes keys under its own seed, so that nobody can make keys that collide. mask
// selects the bits of the hash that are used: all of them, except in tests of collisions.
// It is not a func, because every key passed to one would escape to the heap.
type hasher struct {
	seed maphash.Seed
	mask uint32
}

func newHasher() hasher { return hasher{maphash.MakeSeed(), math.MaxUint32} }

func (h hasher) of(key string) uint32 { return uint32(maphash.String(h.seed, key)) & h.mask }

// index finds slots by the hash of their key. It is a hash table with chains, linked
// through slot.next. It grows and shrinks by one chain at a time (linear hashing), so
// that no call has to move a million sessions, and memory is freed along with sessions.
type index struct {
	slots *table[slot]
	heads table[int32] // of the chains: slots; there is always one
}

func newIndex(slots *table[slot]) index {
	x := index{slots: slots}
	x.addHead()
	return x
}

// head returns the chain of a hash. If that chain has not been split off yet, it returns
// the chain that it will be split off from. Of n chains, those from the largest power of
// two below n on have been split off.
func (x *index) head(hash uint32) *int32 {
	n := uint32(x.heads.n)
	mask := uint32(1)<<bits.Len32(n-1) - 1
	i := hash & mask
	if i >= n {
		i &= mask >> 1
	}
	return x.heads.at(int32(i))
}

// add puts in slot i, which is in the table already: one chain for each slot.
func (x *index) add(i int32) {
	if x.heads.n < x.slots.n {
		x.split()
	}
	x.push(i)
}

// remove takes out slot i, which is still in the table. There may be two chains for
// each slot before any is given up, so that a full cache does not merge and split.
func (x *index) remove(i int32) {
	*x.linkTo(i) = x.slots.at(i).next
	for x.heads.n > 1 && x.heads.n/2 > x.slots.n-1 {
		x.merge()
	}
}

// move makes what leads to slot from lead to slot to.
func (x *index) move(from, to int32) { *x.linkTo(from) = to }

// linkTo returns the link that leads to slot i.
func (x *index) linkTo(i int32) *int32 {
	link := x.head(x.slots.at(i).hash)
	for *link != i {
		link = &x.slots.at(*link).next
	}
	return link
}

func (x *index) push(i int32) {
	s := x.slots.at(i)
	head := x.head(s.hash)
	s.next, *head = *head, i
}

// split adds a chain and moves its share of another chain to it.
func (x *index) split() {
	from := x.heads.at(x.heads.n - 1<<(bits.Len32(uint32(x.heads.n))-1))
	chain := *from
	*from = none
	x.addHead()
	x.pushAll(chain)
}

// merge removes the last chain and moves its slots to the one it was split off from.
func (x *index) merge() {
	chain := *x.heads.at(x.heads.n - 1)
	x.heads.pop()
	x.pushAll(chain)
}

func (x *index) pushAll(chain int32) {
	for chain != none {
		i := chain
		chain = x.slots.at(i).next
		x.push(i)
	}
}

func (x *index) addHead() {
	_, head := x.heads.push()
	*head = none
}
