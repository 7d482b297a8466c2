package sessioncache

// The sizes of what the tables hold.
const (
	slotSize  = 48
	cellSize  = 8 + cellRoom
	placeSize = 24
	linkSize  = 4
)

// Footprint is how many bytes of memory a session takes whose key and record have
// length bytes: its cells, its slot, its place, two chains of the index, because
// half of them may be empty, and its share of what leads to the blocks of these.
// Blocks that are not full come on top, less than 100 KiB in all.
func Footprint(length int) int {
	const blocks = 2
	return cellsFor(length)*cellSize + slotSize + placeSize + 2*linkSize + blocks
}
