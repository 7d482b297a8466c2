package sessioncache

import "container/heap"

// Overhead is what a session costs in memory beyond its value and its key's
// bytes: the entry, its place in the map, and a bucket of its own. That is the
// worst case, no two sessions of which expire in the same second, rounded up.
const Overhead = 256

// entry is one session in the cache, with a copy of what its value said of
// itself when it came in.
type entry[V Value] struct {
	value  V
	key    string
	serial uint64
	expiry int64
	size   int64
	number uint64 // in order of insertion into the cache

	vouched bool // for a session that descends from this one

	part       *part[V]
	bucket     *bucket[V]
	prev, next *entry[V] // in the bucket
}

func newEntry[V Value](v V) entry[V] {
	return entry[V]{
		value:  v,
		key:    v.Key(),
		serial: v.Serial(),
		expiry: v.ExpirySecond(),
		size:   int64(v.Size()),
	}
}

// part is a queue of entries by expiry second, and by arrival in this part
// within one second. Sessions made in one second under one timeout share a
// bucket, so that to add or remove one is to link or unlink it; only the first
// and the last of a second touch the heap. A bucket goes with its last entry:
// there are never more buckets than entries.
type part[V Value] struct {
	buckets map[int64]*bucket[V] // by second
	queue   bucketHeap[V]        // the same buckets, the earliest second at index 0
	count   int
	bytes   int64
}

// bucket holds the entries of one expiry second, first come first. It is never
// empty.
type bucket[V Value] struct {
	second     int64
	index      int // in the heap
	head, tail *entry[V]
}

func newPart[V Value]() *part[V] {
	return &part[V]{buckets: make(map[int64]*bucket[V])}
}

// first returns the entry nearest to its expiry, nil if the part is empty.
func (p *part[V]) first() *entry[V] {
	if len(p.queue) == 0 {
		return nil
	}
	return p.queue[0].head
}

func (p *part[V]) add(e *entry[V]) {
	b := p.buckets[e.expiry]
	if b == nil {
		b = &bucket[V]{second: e.expiry}
		p.buckets[e.expiry] = b
		heap.Push(&p.queue, b)
	}
	b.append(e)
	e.part = p
	p.count++
	p.bytes += e.size
}

func (p *part[V]) remove(e *entry[V]) {
	b := e.bucket
	b.unlink(e)
	if b.head == nil {
		heap.Remove(&p.queue, b.index)
		delete(p.buckets, b.second)
	}
	e.part = nil
	p.count--
	p.bytes -= e.size
}

func (b *bucket[V]) append(e *entry[V]) {
	e.bucket, e.prev = b, b.tail
	if b.tail == nil {
		b.head = e
	} else {
		b.tail.next = e
	}
	b.tail = e
}

func (b *bucket[V]) unlink(e *entry[V]) {
	if e.prev == nil {
		b.head = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		b.tail = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.bucket, e.prev, e.next = nil, nil, nil
}

// bucketHeap is the heap.Interface of a part's buckets.
type bucketHeap[V Value] []*bucket[V]

func (h bucketHeap[V]) Len() int           { return len(h) }
func (h bucketHeap[V]) Less(i, j int) bool { return h[i].second < h[j].second }

func (h bucketHeap[V]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *bucketHeap[V]) Push(x any) {
	b := x.(*bucket[V])
	b.index = len(*h)
	*h = append(*h, b)
}

func (h *bucketHeap[V]) Pop() any {
	last := len(*h) - 1
	b := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return b
}
