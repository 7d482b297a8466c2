package halfshake

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// A Lineage identifies a full handshake and every session that descends from it by
// resumption. Like a UUIDv7 (RFC 9562 section 5.7), it begins with the time of that
// handshake, 48 bits of Unix milliseconds. 80 random bits follow.
//
// A lineage is not secret: nobody can resume a session with it. Logs, audits and FTPS
// servers compare lineages, and [Cache.RemoveLineage] takes one. The zero Lineage
// belongs to no session.
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
	return fmt.Errorf("halfshake: %q is not a lineage; a lineage has 32 hexadecimal digits", text)
}
