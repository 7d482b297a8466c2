package sessioncache

// blockLen is how many elements of a table are allocated at a time. Blocks of
// each kind then have a size that the allocator serves without loss.
const blockLen = 128

// none is the null link.
const none int32 = -1

// table is an array that grows and shrinks at its end, in blocks. Its elements have no
// pointers, so the garbage collector marks a block as one object and does not scan it.
// Scanning would otherwise be most of the cost of a cached session.
//
// To remove an element from the middle, the owner of the table moves the last element
// into its place, because only the owner knows the links to it. A table therefore has no
// free list and no fragmentation. It is at most two blocks larger than its content: a
// partly filled block, and an empty one that is kept so that adding and removing at a
// block's border does not allocate each time.
//
// Everything beyond the last element is zero. Sessions are key material, and must not
// stay in memory after they have left the cache.
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
