package storetest

import (
	"bytes"

	"github.com/halfshake/halfshake/external"
)

// The checks that a store can hold all keys and values.

func checkSizes(p *probe) {
	sizes := []int{1, 2, 255, 256, 4095, 4096, 4097, 8192, 16384, external.MaxValueSize - 1, external.MaxValueSize}
	p.spread(len(sizes), func(p *probe, i int) {
		p.roundTrip(newKey(), newValue(sizes[i]))
	})
}

func checkValuesOfAllBytes(p *probe) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	values := [][]byte{
		all,
		bytes.Repeat([]byte{0}, external.MaxValueSize), // compresses well
		[]byte("\r\nEND\r\n"),                          // the next are of protocols
		[]byte("VALUE a 0 1\r\na\r\nEND\r\n"),
		[]byte("$-1\r\n"),
		[]byte(`\x00`),
		[]byte("NULL"),
		[]byte("\x1f\x8b\x08"),
		[]byte(" a "),
		[]byte("a\n"),
		[]byte("\xff\xfe"),
		{0},
		{' '},
		{'\n'},
	}
	for b := range 256 {
		values = append(values, []byte{byte(b), 'a', byte(b)})
	}
	p.spread(len(values), func(p *probe, i int) {
		p.roundTrip(newKey(), values[i])
	})
}

// roundTrip requires that value can be put, got and taken.
func (p *probe) roundTrip(key external.Key, value []byte) {
	p.Helper()
	p.put(key, value)
	p.want(key, value)
	p.wantTaken(key, value)
}

// checkKeysOfAllBytes uses two keys for each byte, which differ at their ends, where a
// driver may cut a string.
func checkKeysOfAllBytes(p *probe) {
	var keys []external.Key
	for b := range 256 {
		key := external.Key(bytes.Repeat([]byte{byte(b)}, len(external.Key{})))
		other := key
		other[len(other)-1] ^= 0x80
		keys = append(keys, key, other)
	}
	p.apart(keys)
}

func checkKeysOneBitApart(p *probe) {
	first := newKey()
	keys := []external.Key{first}
	for bit := range len(first) * 8 {
		key := first
		key[bit/8] ^= 1 << (bit % 8)
		keys = append(keys, key)
	}
	p.apart(keys)
}

// apart requires that no two of the keys share an entry, and removes all entries.
func (p *probe) apart(keys []external.Key) {
	value := func(i int) []byte { return numbered(keys[i], uint64(i)) }
	p.spread(len(keys), func(p *probe, i int) { p.put(keys[i], value(i)) })
	p.spread(len(keys), func(p *probe, i int) { p.want(keys[i], value(i)) })

	p.delete(keys[0])
	p.wantAbsent(keys[0])
	p.spread(len(keys)-1, func(p *probe, i int) { p.wantTaken(keys[i+1], value(i+1)) })
}
