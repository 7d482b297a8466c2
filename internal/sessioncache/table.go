package sessioncache

// blockLen is how many elements of a table are allocated at a time. Blocks of
// each kind then have a size that the allocator serves without loss.
const blockLen = 128

// none is the link that leads nowhere.
const none int32 = -1

// table is an array that grows and shrinks at its end, in blocks. Its elements
// have no pointers, so that the garbage collector marks a block as one object and
// does not look into it: what it marks is most of what a cached session would
// otherwise cost a server.
//
// To remove an element from the middle is to move the last one into its place,
// which the owner of the table does, as only he knows what leads there. So there
// is no free list and nothing is fragmented: a table is as large as what is in it,
// and at most two blocks more, the one that is filled in part and an empty one,
// which is kept so that what comes and goes at a block's border does not allocate
// each time.
//
// Beyond the last element everything is zero: sessions are key material, and what
// has left the cache is not to lie about until its place is used again.
type table[T any] struct {
	blocks []*[blockLen]T
	n      int32
}

func (t *table[T]) at(i int32) *T {
	return &t.blocks[uint32(i)/blockLen][uint32(i)%blockLen]
}

// push appends an element of zeros. A pointer to an element is good until the
// next pop or move.
func (t *table[T]) push() (int32, *T) {
	i := t.n
	if int(i) == len(t.blocks)*blockLen {
		t.blocks = append(t.blocks, new([blockLen]T))
	}
	t.n++
	return i, t.at(i)
}

// pop removes the last element.
func (t *table[T]) pop() {
	var zero T
	t.n--
	*t.at(t.n) = zero
	if last := len(t.blocks) - 1; int(t.n) <= (last-1)*blockLen {
		t.blocks[last] = nil
		t.blocks = t.blocks[:last]
	}
}
