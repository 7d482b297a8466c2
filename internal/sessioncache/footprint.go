package sessioncache

// The sizes of what the tables hold.
const (
	slotSize  = 48
	cellSize  = 8 + cellRoom
	placeSize = 24
	linkSize  = 4
)

// Footprint returns how many bytes of memory a session takes whose key and record have
// length bytes. It counts its cells, its slot, its place, two chains of the index (half of
// the chains may be empty), and its share of the pointers to their blocks. It does not
// count partly filled blocks, which take less than 120 KiB in all.
func Footprint(length int) int {
	const blocks = 2
	return cellsFor(length)*cellSize + slotSize + placeSize + 2*linkSize + blocks
}
