package boltstore

import "bytes"

// A leafFunc checks one element of a leaf.
type leafFunc func(flags uint32, key, value []byte) error

// A span says which keys a page may have. The first key must be low, the key under which
// its parent lists the page: bbolt finds a page in its parent by its first key, and
// would otherwise insert the page a second time. All keys must be less than high. A nil
// low or high is no limit.
type span struct{ low, high []byte }

// begins reports whether first may be the first key.
func (s span) begins(first []byte) bool { return s.low == nil || bytes.Equal(first, s.low) }

func (s span) has(key []byte) bool { return s.high == nil || bytes.Compare(key, s.high) < 0 }

// tree checks a page and all pages below it. It terminates because it returns an error
// when it sees a page twice.
func (c *checker) tree(page uint64, level int, within span, leaf leafFunc) error {
	buf, err := c.page(page, level)
	if err != nil {
		return err
	}
	p, err := parsePage(buf)
	if err != nil {
		return err
	}
	if p.flags == leafPage {
		return p.leaf(within, leaf)
	}
	if p.flags != branchPage || p.count == 0 {
		return damaged("page %d is neither branch nor leaf", page)
	}
	if !within.begins(p.branchKey(0)) {
		return damaged("page %d begins with a different key than its parent says", page)
	}
	for i := range p.count {
		below := span{p.branchKey(i), within.high}
		if i+1 < p.count {
			below.high = p.branchKey(i + 1)
		}
		if below.low == nil || !within.has(below.low) || below.high != nil && bytes.Compare(below.low, below.high) >= 0 {
			return damaged("the keys of page %d are out of order", page)
		}
		if err := c.tree(p.child(i), level+1, below, leaf); err != nil {
			return err
		}
	}
	return nil
}

// page returns the bytes of a page and of the pages that it overflows into. They are
// valid until the next call for the same level.
func (c *checker) page(page uint64, level int) ([]byte, error) {
	if err := c.use(page); err != nil {
		return nil, err
	}
	for len(c.stack) <= level {
		c.stack = append(c.stack, make([]byte, pageSize))
	}
	buf := c.stack[level][:pageSize]
	if err := c.read(buf, int64(page)*pageSize); err != nil {
		return nil, err
	}
	if order.Uint64(buf) != page {
		return nil, damaged("page %d says that it is page %d", page, order.Uint64(buf))
	}
	more := uint64(order.Uint32(buf[12:]))
	if more == 0 {
		return buf, nil
	}
	for i := range more {
		if err := c.use(page + 1 + i); err != nil {
			return nil, err
		}
	}
	if need := int(1+more) * pageSize; cap(buf) < need {
		c.stack[level] = make([]byte, need)
	}
	buf = c.stack[level][:(1+more)*pageSize]
	return buf, c.read(buf, int64(page)*pageSize)
}

// A treePage is a page whose header has been parsed.
type treePage struct {
	flags, count int
	data         []byte
}

func parsePage(b []byte) (treePage, error) {
	if len(b) < pageHeaderSize {
		return treePage{}, damaged("a page is too short for its header")
	}
	p := treePage{int(order.Uint16(b[8:])), int(order.Uint16(b[10:])), b}
	if p.flags != freelistPage && pageHeaderSize+p.count*leafElementSize > len(b) {
		return treePage{}, damaged("a page is too short for its %d elements", p.count)
	}
	return p, nil
}

// leaf checks the elements of a leaf.
func (p treePage) leaf(within span, leaf leafFunc) error {
	if p.flags != leafPage {
		return damaged("a page that must be a leaf is something else")
	}
	if p.count == 0 && within.low != nil {
		return damaged("a leaf is empty")
	}
	var last []byte
	for i := range p.count {
		at := pageHeaderSize + i*leafElementSize
		e := p.data[at:]
		key := p.part(at, uint64(order.Uint32(e[4:])), order.Uint32(e[8:]))
		value := p.part(at, uint64(order.Uint32(e[4:]))+uint64(order.Uint32(e[8:])), order.Uint32(e[12:]))
		if len(key) == 0 || value == nil {
			return damaged("a leaf's element is not within its page")
		}
		if i == 0 && !within.begins(key) {
			return damaged("a leaf begins with a different key than its parent says")
		}
		if !within.has(key) || last != nil && bytes.Compare(last, key) >= 0 {
			return damaged("a leaf's keys are out of order")
		}
		last = key
		if err := leaf(order.Uint32(e), key, value); err != nil {
			return err
		}
	}
	return nil
}

func (p treePage) branchKey(i int) []byte {
	at := pageHeaderSize + i*leafElementSize
	e := p.data[at:]
	return p.part(at, uint64(order.Uint32(e)), order.Uint32(e[4:]))
}

func (p treePage) child(i int) uint64 {
	return order.Uint64(p.data[pageHeaderSize+i*leafElementSize+8:])
}

// part returns size bytes at a position relative to at, or nil if they are not all within
// the page.
func (p treePage) part(at int, position uint64, size uint32) []byte {
	from := uint64(at) + position
	if from+uint64(size) > uint64(len(p.data)) {
		return nil
	}
	return p.data[from : from+uint64(size)]
}
