package sessioncache

// queue has the slots of a part, ordered by expiry second and then by arrival in it. It
// is a heap with four children for each place. Its paths are short, and each step reads
// one or two cache lines.
type queue struct {
	slots  *table[slot]
	places table[place] // the first to be given up is at 0
	bytes  int64        // the sum of the slots' sizes
}

// A place is a heap entry: a slot and its sort key.
type place struct {
	second  int64
	arrival uint64
	slot    int32
}

func (p place) before(q place) bool {
	return p.second < q.second || p.second == q.second && p.arrival < q.arrival
}

const below = 4 // places below each

// first returns the place nearest to its expiry, or nil if the part is empty.
func (q *queue) first() *place {
	if q.places.n == 0 {
		return nil
	}
	return q.places.at(0)
}

func (q *queue) add(new place) {
	q.bytes += q.slots.at(new.slot).size
	end, _ := q.places.push()
	q.rise(end, new)
}

func (q *queue) remove(i int32) {
	q.bytes -= q.slots.at(q.places.at(i).slot).size
	last := *q.places.at(q.places.n - 1)
	q.places.pop()
	switch {
	case i == q.places.n:
	case i > 0 && last.before(*q.places.at((i - 1) / below)):
		q.rise(i, last)
	default:
		q.sink(i, last)
	}
}

// rise puts new where i is free or further up, moving down what is in its way.
func (q *queue) rise(i int32, new place) {
	for i > 0 {
		above := (i - 1) / below
		if !new.before(*q.places.at(above)) {
			break
		}
		q.set(i, *q.places.at(above))
		i = above
	}
	q.set(i, new)
}

// sink puts new where i is free or further down, moving up what is in its way.
func (q *queue) sink(i int32, new place) {
	for {
		least := q.least(i)
		if least == none || !q.places.at(least).before(new) {
			break
		}
		q.set(i, *q.places.at(least))
		i = least
	}
	q.set(i, new)
}

// least returns which of the places below i comes first.
func (q *queue) least(i int32) int32 {
	at := int64(i)*below + 1
	end := min(at+below, int64(q.places.n))
	least := none
	for ; at < end; at++ {
		if least == none || q.places.at(int32(at)).before(*q.places.at(least)) {
			least = int32(at)
		}
	}
	return least
}

// set writes a place, and tells the slot where it is.
func (q *queue) set(i int32, new place) {
	*q.places.at(i) = new
	q.slots.at(new.slot).place = i
}
