package storetest

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"github.com/halfshake/halfshake/external"
)

// checkHistory lets several callers use one key at random, and requires that some order
// of their calls explains all the answers.
func checkHistory(p *probe) {
	const lanes, rounds = 8, 50
	left := newBudget(lanes * 4)
	p.each(lanes, func(p *probe, lane int) {
		for round := 0; round < rounds && left.spend(); round++ {
			p.explained(uint64(lane*rounds + round))
		}
	})
}

// explained makes the history of one new key.
func (p *probe) explained(seed uint64) {
	const callers, calls = 4, 8
	key := newKey()
	var clock atomic.Int64
	parts := make([]history, callers+1)
	p.each(callers, func(p *probe, i int) {
		c := &caller{probe: p, key: key, clock: &clock, random: rand.New(rand.NewPCG(seed, uint64(i)))}
		for n := range calls {
			c.call(c.pick(), uint64(1+i*calls+n))
		}
		parts[i] = c.seen
	})
	last := &caller{probe: p, key: key, clock: &clock}
	last.call(Get, 0)
	last.call(Take, 0)
	last.call(Get, 0)
	parts[callers] = last.seen

	all := slices.Concat(parts...)
	all.sort()
	if !all.linearizable() {
		fatalf(p, "no order of these calls explains their answers (seed %d):\n%v", seed, all)
	}
}

// A caller makes calls to one key and notes what it sees.
type caller struct {
	*probe
	key    external.Key
	clock  *atomic.Int64
	random *rand.Rand
	seen   history
}

func (c *caller) pick() Op {
	return [...]Op{Put, Put, Put, Get, Get, Get, Take, Delete}[c.random.IntN(8)]
}

// call makes one call, with the value of that number if it is a Put.
func (c *caller) call(op Op, number uint64) {
	e := event{op: op, from: c.clock.Add(1)}
	switch op {
	case Put:
		e.value = number
		c.put(c.key, numbered(c.key, number))
	case Get:
		e.value = c.number(op, c.get(c.key))
	case Take:
		e.value = c.number(op, c.take(c.key))
	case Delete:
		c.delete(c.key)
	}
	e.to = c.clock.Add(1)
	c.seen = append(c.seen, e)
}

// number returns the number of what was found, 0 for nothing.
func (c *caller) number(op Op, got []byte) uint64 {
	if got == nil {
		return 0
	}
	number, whole := numberOf(c.key, got)
	if !whole {
		fatalf(c, "%v(%v) returned %d bytes that are no whole value of this key", op, c.key, len(got))
	}
	return number
}
