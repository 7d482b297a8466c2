package storetest

import (
	"bytes"
	"math/rand/v2"

	"github.com/halfshake/halfshake/external"
)

const (
	// remembered is the number of keys for which a Faulty remembers a value.
	remembered = 4096
	oversize   = 1 << 20
)

// A memory is what a Faulty makes its wrong answers of.
type memory struct {
	random *rand.Rand
	order  []external.Key          // the keys, in the order of their first Put
	first  map[external.Key][]byte // what was first put under each
	log    []byte                  // the first log
}

func newMemory() memory {
	return memory{random: rand.New(rand.NewPCG(1, 0)), first: make(map[external.Key][]byte)}
}

func (m *memory) put(key external.Key, value []byte) {
	if m.first[key] == nil && len(m.order) < remembered {
		m.first[key] = bytes.Clone(value)
		m.order = append(m.order, key)
	}
}

func (m *memory) swap(log []byte) {
	if m.log == nil {
		m.log = bytes.Clone(log)
	}
}

// forge returns a wrong answer in place of value (nil means not found). It returns false
// if there is nothing to make one of, or if it would be right.
func (m *memory) forge(fault Fault, op Op, key external.Key, value []byte) (lie []byte, ok bool) {
	switch fault {
	case OtherKey:
		lie = bytes.Clone(m.ofAnother(op, key))
	case Older:
		lie = bytes.Clone(m.ofThis(op, key))
	case Flipped:
		if len(value) > 0 {
			lie = flipped(value, m.random.IntN(8*len(value)))
		}
	case Truncated:
		if len(value) > 1 {
			lie = bytes.Clone(value[:1+m.random.IntN(len(value)-1)])
		}
	case Garbage:
		lie = make([]byte, 1+m.random.IntN(4096))
		for i := range lie {
			lie[i] = byte(m.random.Uint32())
		}
	case Oversize:
		lie = make([]byte, oversize)
		copy(lie, value)
	case Empty:
		return []byte{}, true
	case Nil:
		return nil, true
	}
	return lie, lie != nil && !bytes.Equal(lie, value)
}

// ofAnother returns what was first put under any other key. For the log, every key is
// another.
func (m *memory) ofAnother(op Op, key external.Key) []byte {
	for _, other := range m.order {
		if op == Load || other != key {
			return m.first[other]
		}
	}
	return nil
}

func (m *memory) ofThis(op Op, key external.Key) []byte {
	if op == Load {
		return m.log
	}
	return m.first[key]
}
