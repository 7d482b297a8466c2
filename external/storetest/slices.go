package storetest

import (
	"bytes"

	"github.com/halfshake/halfshake/external"
)

// The checks of slices: who may keep and change them.

func checkSlicesNotKept(p *probe) {
	keys := [...]external.Key{newKey(), newKey()}
	values := [...][]byte{newValue(100), newValue(100)}
	buffer := make([]byte, 100)
	for i, key := range keys {
		copy(buffer, values[i]) // as a caller does that saves memory
		p.put(key, buffer)
		clear(buffer)
		p.want(key, values[i])
	}
	p.want(keys[0], values[0])
	p.wantTaken(keys[1], values[1])
}

func checkSlicesNotChanged(p *probe) {
	buffer := newValue(200)
	before := bytes.Clone(buffer)
	p.put(newKey(), buffer[:100])
	if !bytes.Equal(buffer[:100], before[:100]) {
		fatalf(p, "Put changed the value that it was handed")
	}
	if !bytes.Equal(buffer, before) {
		fatalf(p, "Put wrote behind the end of the value that it was handed")
	}
}

func checkSlicesReturned(p *probe) {
	key, value := newKey(), newValue(100)
	beside, other := newKey(), newValue(100)
	p.put(key, value)
	p.put(beside, other)
	for range 3 {
		got := p.get(key)
		p.same(Get, key, got, value)
		clear(got[:cap(got)]) // append would write there
	}
	p.want(beside, other)

	taken := p.take(key)
	p.same(Take, key, taken, value)
	clear(taken[:cap(taken)])
	p.want(beside, other)
}
