package storetest

import (
	"runtime"
	"sync/atomic"

	"github.com/halfshake/halfshake/external"
)

// The checks of calls at one time.

// checkTakeOnce puts 2,048 entries, each of which four callers take.
func checkTakeOnce(p *probe) {
	const lanes, rounds = 32, 64
	left := newBudget(lanes * 4)
	var done atomic.Int64
	p.each(lanes, func(p *probe, _ int) {
		key := newKey()
		for round := uint64(0); round < rounds && left.spend(); round++ {
			p.takenOnce(key, numbered(key, round))
			done.Add(1)
		}
	})
	p.Logf("%d entries were taken once each", done.Load())
}

func (p *probe) takenOnce(key external.Key, value []byte) {
	p.put(key, value)
	var taken atomic.Int64
	p.each(4, func(p *probe, _ int) {
		if got := p.take(key); got != nil {
			p.same(Take, key, got, value)
			taken.Add(1)
		}
	})
	if n := taken.Load(); n != 1 {
		fatalf(p, "of four that took one entry, %d got it", n)
	}
}

// checkWholeValues gets entries while values of many sizes replace one another. It
// requires that each is whole, belongs to its key, and is not older than the one before.
func checkWholeValues(p *probe) {
	const keys, puts, readers = 4, 300, 2
	left := newBudget(keys * 20)
	p.each(keys, func(p *probe, _ int) {
		key := newKey()
		p.put(key, numbered(key, 0))
		written := make(chan struct{})
		p.each(1+readers, func(p *probe, i int) {
			if i > 0 {
				p.readUntil(written, key)
				return
			}
			defer close(written)
			for number := uint64(1); number <= puts && left.spend(); number++ {
				p.put(key, numbered(key, number))
			}
		})
	})
}

func (p *probe) readUntil(written <-chan struct{}, key external.Key) {
	last := uint64(0)
	for {
		select {
		case <-written:
			return
		default:
		}
		got := p.get(key)
		if got == nil {
			fatalf(p, "Get(%v) found nothing while one value was put in the place of another", key)
		}
		number, whole := numberOf(key, got)
		if !whole {
			fatalf(p, "Get(%v) returned %d bytes that are no whole value of this key", key, len(got))
		}
		if number < last {
			fatalf(p, "Get(%v) returned the value of Put number %d after that of number %d", key, number, last)
		}
		last = number
		runtime.Gosched()
	}
}

// checkNoComeback removes entries while others read them, and requires that they stay
// removed: a reader must not put one back into a cache of the driver's.
func checkNoComeback(p *probe) {
	const lanes, rounds, readers = 4, 100, 2
	left := newBudget(lanes * 4)
	p.each(lanes, func(p *probe, _ int) {
		for round := uint64(0); round < rounds && left.spend(); round++ {
			key := newKey()
			p.put(key, numbered(key, round))
			removed := make(chan struct{})
			p.each(1+readers, func(p *probe, i int) {
				if i > 0 {
					p.readWhile(removed, key)
					return
				}
				defer close(removed)
				p.remove(key, round)
			})
			p.wantAbsent(key)
		}
	})
}

// remove deletes or takes, in turn, and then reads while the readers go on.
func (p *probe) remove(key external.Key, round uint64) {
	if round%2 == 0 {
		p.delete(key)
	} else {
		p.wantTaken(key, numbered(key, round))
	}
	for range 3 {
		if p.get(key) != nil {
			fatalf(p, "Get(%v) found an entry again that had been removed", key)
		}
	}
}

func (p *probe) readWhile(removed <-chan struct{}, key external.Key) {
	for {
		select {
		case <-removed:
			return
		default:
			p.get(key)
			runtime.Gosched()
		}
	}
}
