package sessioncache

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
)

// plain is a session that costs one allocation of its own, for its key.
type plain struct {
	key    string
	serial uint64
	expiry int64
}

func (p plain) Key() string         { return p.key }
func (p plain) Serial() uint64      { return p.serial }
func (p plain) ExpirySecond() int64 { return p.expiry }
func (p plain) Size() int           { return 1 }

// AppendRecord appends as much as a session has without client certificates.
func (p plain) AppendRecord(b []byte) []byte { return append(b, record[:]...) }

var record [150]byte

func decodePlain(serial uint64, key, _ []byte) plain { return plain{key: string(key), serial: serial} }

const benchCount = 20480

// benchKeys are ids of 32 bytes, more than fit.
func benchKeys() []string {
	keys := make([]string, 4*benchCount)
	for i := range keys {
		id := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
		keys[i] = string(id[:])
	}
	return keys
}

// BenchmarkPutFull puts a new session into a full cache, which evicts another.
func BenchmarkPutFull(b *testing.B) {
	keys := benchKeys()
	for _, bench := range []struct {
		name   string
		expiry func(i int) int64
	}{
		{"one timeout, 1000 a second", func(i int) int64 { return int64(i / 1000) }},
		{"every second another", func(i int) int64 { return int64(uint32(i) * 2654435761) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			c := New(Limits{Count: benchCount, Bytes: 1 << 40}, decodePlain)
			put := func(i int) { c.Put(plain{keys[i%len(keys)], uint64(i), bench.expiry(i)}, Unproved) }
			for i := range benchCount {
				put(i)
			}
			b.ReportAllocs()
			i := benchCount
			for b.Loop() {
				put(i)
				i++
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	keys := benchKeys()[:benchCount]
	c := New(Limits{Count: benchCount, Bytes: 1 << 40}, decodePlain)
	for i, key := range keys {
		c.Put(plain{key, uint64(i), int64(i / 1000)}, Unproved)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, ok := c.Get(keys[i%len(keys)]); !ok {
			b.Fatal("not found")
		}
		i++
	}
}
