package halfshake

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// A Lineage names a full handshake and every session that descends from it by
// resumption. It begins with the 48 bits of the Unix time in milliseconds at which
// that handshake took place, as a UUIDv7 does (RFC 9562 section 5.7), and goes on
// with 80 random bits.
//
// A lineage is not secret: nobody can resume a session with it. It is what logs,
// audits and FTPS servers compare, and what [Cache.RemoveLineage] takes. The zero
// Lineage belongs to no session.
type Lineage [16]byte

// newLineage returns a lineage that begins at the given Unix milliseconds.
func newLineage(milli int64) (l Lineage) {
	var begin [8]byte
	binary.BigEndian.PutUint64(begin[:], uint64(milli))
	copy(l[:6], begin[2:])
	rand.Read(l[6:])
	return l
}

// milli returns when the lineage began, in Unix milliseconds.
func (l Lineage) milli() int64 {
	var begin [8]byte
	copy(begin[2:], l[:6])
	return int64(binary.BigEndian.Uint64(begin[:]))
}

// Start returns when the lineage began, to the millisecond.
func (l Lineage) Start() time.Time { return time.UnixMilli(l.milli()) }

// String returns the lineage as 32 hexadecimal digits.
func (l Lineage) String() string { return hex.EncodeToString(l[:]) }

// MarshalText returns String.
func (l Lineage) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (l *Lineage) UnmarshalText(text []byte) error {
	if b, err := hex.DecodeString(string(text)); err == nil && len(b) == len(l) {
		copy(l[:], b)
		return nil
	}
	return fmt.Errorf("halfshake: %q is not a lineage; it has 32 hexadecimal digits", text)
}
