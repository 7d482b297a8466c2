package boltstore

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"

	"github.com/halfshake/halfshake/external"
)

// The file has a bucket of sessions for each class, and one of state. A session's
// key in its bucket has 44 bytes, integers big endian,
//
//	expiry, nanoseconds since 1970 [8] | serial number of the Put [4] | external.Key [32]
//
// and its value is a record. So sessions of one lifetime are appended at the right
// end of the tree, whole pages at a time, and expire or are evicted at its left end.
// The serial number keeps in order the sessions that expire in the same second. It
// wraps around after 2^32.
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

// nanoseconds clamps t to 1970 to 2262, which 63 bits of nanoseconds can express.
func nanoseconds(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, 0)):
		return 0
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// A record is a CRC-32C of the key in the bucket and the value, big endian, followed by
// the value. Sealed values need no checksum, but bbolt has none for its pages, and this
// one finds damage before it has effects.
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

// cost is what an entry takes in a page, without its share of the page's own. A
// deletion costs what bbolt keeps in memory for it.
func (r record) cost() int64 { return costOf(len(r)) }

func costOf(recordSize int) int64 { return leafElementSize + int64(idSize) + int64(recordSize) }
