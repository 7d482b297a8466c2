package sessioncache

// part is a queue of slots, ordered by expiry second and then by arrival in this part. It
// is a heap with four children for each place. Its paths are short, and each step reads
// one or two cache lines.
type part struct {
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
func (p *part) first() *place {
	if p.places.n == 0 {
		return nil
	}
	return p.places.at(0)
}

func (p *part) add(new place) {
	p.bytes += p.slots.at(new.slot).size
	end, _ := p.places.push()
	p.rise(end, new)
}

func (p *part) remove(i int32) {
	p.bytes -= p.slots.at(p.places.at(i).slot).size
	last := *p.places.at(p.places.n - 1)
	p.places.pop()
	switch {
	case i == p.places.n:
	case i > 0 && last.before(*p.places.at((i - 1) / below)):
		p.rise(i, last)
	default:
		p.sink(i, last)
	}
}

// rise puts new where i is free or further up, moving down what is in its way.
func (p *part) rise(i int32, new place) {
	for i > 0 {
		above := (i - 1) / below
		if !new.before(*p.places.at(above)) {
			break
		}
		p.set(i, *p.places.at(above))
		i = above
	}
	p.set(i, new)
}

// sink puts new where i is free or further down, moving up what is in its way.
func (p *part) sink(i int32, new place) {
	for {
		least := p.least(i)
		if least == none || !p.places.at(least).before(new) {
			break
		}
		p.set(i, *p.places.at(least))
		i = least
	}
	p.set(i, new)
}

// least returns which of the places below i comes first.
func (p *part) least(i int32) int32 {
	at := int64(i)*below + 1
	end := min(at+below, int64(p.places.n))
	least := none
	for ; at < end; at++ {
		if least == none || p.places.at(int32(at)).before(*p.places.at(least)) {
			least = int32(at)
		}
	}
	return least
}

// set writes a place, and tells the slot where it is.
func (p *part) set(i int32, new place) {
	*p.places.at(i) = new
	p.slots.at(new.slot).place = i
}
