// Package sessionrecord reads the record of a session, which is the encoding of
// halfshake.Session.MarshalBinary, field by field. It says which field of a damaged record
// is wrong, and returns what a Session does not export. It is for programs that show
// records: halfshake.ParseSession decides faster whether a record is valid, but not why.
package sessionrecord

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"golang.org/x/crypto/cryptobyte"
)

// Magic is what a record of any format begins with.
const Magic = "HS"

// format is the format that this package reads. The comment on encodingFormat in package
// halfshake has its fields.
const format = 2

const (
	maxSize = 16 << 10
	maxID   = 32
	maxName = 1<<8 - 1
	maxList = 1<<16 - 1

	fieldData   = 1
	maxDataSize = 4 << 10

	checksumSize = 4
	maxSecond    = math.MaxInt64 / uint64(1e9)
)

// A SyntaxError says why a record cannot be read. It contains nothing of the session's
// values.
type SyntaxError struct {
	Field   string
	Offset  int // where the field begins, in bytes from the beginning of the record
	Problem string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("at byte %d: %s %s", e.Offset, e.Field, e.Problem)
}

// A State is the session of crypto/tls within a record.
type State struct {
	Offset int // in bytes from the beginning of the record
	Bytes  []byte
}

// Parse reads a whole record and returns the state in it. The error is a [*SyntaxError].
func Parse(record []byte) (State, error) {
	r := &reader{all: record, rest: record}
	r.size()
	r.format()
	r.prefixed("session id", 1, 1, maxID)
	r.fixed("lineage", 16)
	r.fixed("protocol version", 2)
	r.fixed("cipher suite", 2)
	r.times()
	r.prefixed("server name", 1, 0, maxName)
	r.prefixed("ALPN", 1, 0, maxName)
	r.fixed("scope", 32)
	state := r.state()
	r.fields()
	r.checksum()
	switch {
	case r.err != nil:
		return State{}, r.err
	case r.value != nil:
		return State{}, r.value
	}
	return state, nil
}

// A reader reads one field after the other. After the first error it reads nothing.
type reader struct {
	all  []byte
	rest cryptobyte.String // the unread end of all
	err  *SyntaxError

	// value is the first value that makes no sense. It counts only under a checksum that
	// matches: otherwise the value is not what was written.
	value *SyntaxError
}

func (r *reader) offset() int { return len(r.all) - len(r.rest) }

func (r *reader) fail(offset int, field, problem string, args ...any) {
	if r.err == nil {
		r.err = &SyntaxError{field, offset, fmt.Sprintf(problem, args...)}
	}
}

func (r *reader) doubt(offset int, field, problem string) {
	if r.value == nil {
		r.value = &SyntaxError{field, offset, problem}
	}
}

func (r *reader) size() {
	if len(r.all) > maxSize {
		r.fail(0, "the record", "has %d bytes; a session has at most %d", len(r.all), maxSize)
	}
}

func (r *reader) format() {
	if b := r.fixed("format", 4); b != nil && string(b) != Magic+"\x00\x02" {
		r.fail(0, "format", "is not %d, the only one that this release reads", format)
	}
}

// fixed reads a field of a fixed size.
func (r *reader) fixed(field string, size int) []byte {
	if r.err != nil {
		return nil
	}
	at := r.offset()
	var b []byte
	if !r.rest.ReadBytes(&b, size) {
		r.fail(at, field, "is truncated: it has %d bytes, and %d are left", size, len(r.rest))
		return nil
	}
	return b
}

// prefixed reads a field of least to most bytes, after its length.
func (r *reader) prefixed(field string, width, least, most int) []byte {
	at := r.offset()
	size := 0
	for _, b := range r.fixed(field, width) {
		size = size<<8 | int(b)
	}
	switch {
	case r.err != nil:
		return nil
	case size < least || size > most:
		r.fail(at, field, "has %d bytes; it has %d to %d", size, least, most)
		return nil
	}
	return r.fixed(field, size)
}

func (r *reader) times() {
	at := r.offset()
	b := r.fixed("times", 3*8)
	if b == nil {
		return
	}
	created, expires, limit := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])
	switch {
	case expires > maxSecond || limit > math.MaxInt64:
		r.doubt(at+8, "expiry", "is out of range")
	case created > expires:
		r.doubt(at, "creation time", "is later than the expiry")
	case limit != 0 && limit < expires:
		r.doubt(at+16, "limit of the expiry", "is earlier than the expiry")
	}
}

func (r *reader) state() State {
	b := r.prefixed("state of crypto/tls", 2, 1, maxList)
	return State{r.offset() - len(b), b}
}

// fields reads the list of optional fields, which are in ascending order of kind.
func (r *reader) fields() {
	list := cryptobyte.String(r.prefixed("list of fields", 2, 0, maxList))
	end := r.offset()
	for last := -1; r.err == nil && !list.Empty(); {
		at := end - len(list)
		var kind uint16
		var data cryptobyte.String
		switch {
		case !list.ReadUint16(&kind) || !list.ReadUint16LengthPrefixed(&data):
			r.fail(at, "optional field", "goes beyond the list of fields")
		case int(kind) <= last:
			r.doubt(at, "optional field", "is out of order")
		case kind == fieldData && (data.Empty() || len(data) > maxDataSize):
			r.doubt(at, "application data", fmt.Sprintf("has %d bytes; it has 1 to %d", len(data), maxDataSize))
		}
		last = int(kind)
	}
}

// checksum reads the checksum, which must be the end.
func (r *reader) checksum() {
	const field = "checksum"
	at := r.offset()
	b := r.fixed(field, checksumSize)
	switch {
	case b == nil:
	case !r.rest.Empty():
		r.fail(r.offset(), "the record", "goes on for %d bytes after the session", len(r.rest))
	case binary.BigEndian.Uint32(b) != crc32.Checksum(r.all[:at], crc32.MakeTable(crc32.Castagnoli)):
		r.fail(at, field, "does not match: a byte before it was changed")
	}
}
