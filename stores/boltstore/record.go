package boltstore

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"

	"github.com/halfshake/halfshake/external"
)

// The file has a bucket of sessions for each class, and a bucket for state. A session's
// key in its bucket has 44 bytes, with big-endian integers:
//
//	expiry, nanoseconds since 1970 [8] | serial number of the Put [4] | external.Key [32]
//
// Its value is a record. Sessions of the same lifetime are therefore appended at the right
// end of the tree, whole pages at a time, and expire or are evicted at its left end. The
// serial number keeps sessions that expire in the same second in order. It wraps around
// after 2^32.
var (
	sessionsBuckets = [classes][]byte{
		external.ClassUnproved: []byte("unproved"),
		external.ClassProved:   []byte("proved"),
	}
	stateBucket = []byte("state")

	formatKey   = []byte("format")
	formatValue = []byte("halfshake boltstore 2")
	logKey      = []byte("log")
)

const idSize = 8 + 4 + len(external.Key{})

// An id is an entry's key in its bucket.
type id [idSize]byte

func (at slot) id(key external.Key) (e id) {
	binary.BigEndian.PutUint64(e[:8], uint64(at.expires))
	binary.BigEndian.PutUint32(e[8:12], at.serial)
	copy(e[12:], key[:])
	return e
}

func (e id) expires() int64 { return int64(binary.BigEndian.Uint64(e[:8])) }

func (e id) serial() uint32 { return binary.BigEndian.Uint32(e[8:12]) }

func (e id) key() external.Key { return external.Key(e[12:]) }

func (e id) compare(f id) int { return bytes.Compare(e[:], f[:]) }

// nanoseconds returns t in nanoseconds since 1970, clamped to 1970 to 2262, the range of 63
// bits.
func nanoseconds(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, 0)):
		return 0
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// A record is a big-endian CRC-32C of the key in the bucket and the value, followed by the
// value. Sealed values need no checksum, but bbolt has none for its pages, and this one
// detects damage before it has effects.
type record []byte

const checksumSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func newRecord(e id, value []byte) record { return recordOf(e[:], value) }

func recordOf(key, value []byte) record {
	r := make(record, checksumSize+len(value))
	copy(r[checksumSize:], value)
	binary.BigEndian.PutUint32(r, r.checksum(key))
	return r
}

func (r record) value() []byte { return r[checksumSize:] }

func (r record) checksum(key []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, r.value())
}

// validFor reports whether r was made for key, with a value of up to max bytes.
func (r record) validFor(key []byte, max int) bool {
	return len(r) >= checksumSize && len(r) <= checksumSize+max &&
		binary.BigEndian.Uint32(r) == r.checksum(key)
}

// cost is the space that an entry uses in a page, without its share of the page's header.
// The cost of a deletion is the memory that bbolt uses for it.
func (r record) cost() int64 { return costOf(len(r)) }

func costOf(recordSize int) int64 { return leafElementSize + int64(idSize) + int64(recordSize) }
