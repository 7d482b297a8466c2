package halfshake

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"unsafe"

	"golang.org/x/crypto/cryptobyte"
)

// The encoding of a session, all integers in network byte order:
//
//	struct {
//	    uint32 format = 0x48530002;       /* "HS", version 2 */
//	    opaque id<1..32>;
//	    opaque lineage[16];
//	    uint16 version;
//	    uint16 cipher_suite;
//	    uint64 created;                   /* Unix seconds */
//	    uint64 expires;                   /* Unix seconds */
//	    uint64 limit;                     /* Unix seconds, 0 for none */
//	    opaque server_name<0..255>;
//	    opaque alpn<0..255>;
//	    opaque scope[32];
//	    opaque state<1..2^16-1>;          /* tls.SessionState.Bytes, verbatim */
//	    Field fields<0..2^16-1>;          /* by ascending kind, each at most once */
//	    uint32 checksum;                  /* CRC-32C of all that comes before */
//	} Session;
//
//	struct {
//	    uint16 kind;
//	    opaque data<0..2^16-1>;
//	} Field;
//
// The kinds of fields: 1 is application data, <1..4096>; 2 is the ticket of a client's
// session, <1..2^16-1>; 3 is the session_id by which a client of package tls12 resumes it,
// <1..32>. Fields of unknown kinds are kept and ignored. A session that parses encodes to
// the same bytes again. Sessions of format 1 do not parse.
const encodingFormat uint32 = 0x48530002

// maxName is the maximum length in bytes of a server name or protocol.
const maxName = 255

// ErrBadSession is wrapped by the errors of [ParseSession].
var ErrBadSession = errors.New("not an encoded session")

var (
	_ encoding.BinaryMarshaler = (*Session)(nil)
	_ encoding.BinaryAppender  = (*Session)(nil)
)

// MarshalBinary encodes the session; [ParseSession] decodes it. The bytes are a live
// key: seal them before they leave the process.
func (s *Session) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// AppendBinary appends the encoding of MarshalBinary to b.
func (s *Session) AppendBinary(b []byte) ([]byte, error) {
	if s == nil {
		return nil, errors.New("halfshake: encode session: the session is nil")
	}
	b = slices.Grow(b, s.encodedSize())
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, encodingFormat)
	b = appendShort(b, s.id)
	b = s.appendBody(b)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli)), nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendBody appends everything between the id and the checksum. The lineage comes first,
// where lineageOfBody finds it.
func (s *Session) appendBody(b []byte) []byte {
	b = append(b, s.lineage[:]...)
	b = binary.BigEndian.AppendUint16(b, s.version)
	b = binary.BigEndian.AppendUint16(b, s.suite)
	b = binary.BigEndian.AppendUint64(b, uint64(s.created))
	b = binary.BigEndian.AppendUint64(b, uint64(s.expires))
	b = binary.BigEndian.AppendUint64(b, uint64(s.limit))
	b = appendShort(b, s.serverName)
	b = appendShort(b, s.alpn)
	b = append(b, s.scope[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(s.state)))
	b = append(b, s.state...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(s.fields)))
	return append(b, s.fields...)
}

// lineageOfBody returns the lineage in the output of appendBody.
func lineageOfBody(body []byte) Lineage { return Lineage(body[:len(Lineage{})]) }

// appendShort appends a string of at most 255 bytes, the longest that a session has.
func appendShort(b []byte, text string) []byte {
	return append(append(b, byte(len(text))), text...)
}

func (s *Session) bodySize() int {
	const fixed = 16 + 2 + 2 + 8 + 8 + 8 + 1 + 1 + 32 + 2 + 2
	return fixed + len(s.serverName) + len(s.alpn) + len(s.state) + len(s.fields)
}

func (s *Session) encodedSize() int { return 4 + 1 + len(s.id) + s.bodySize() + 4 }

// ParseSession decodes the output of [Session.MarshalBinary]. Each call returns a new
// session, which [Cache.Add] distinguishes from others with the same id. It does not
// decode crypto/tls's own state inside: a session from another release of Go parses,
// but may be refused when a client tries to resume it. The error wraps [ErrBadSession]
// and shows nothing of data.
func ParseSession(data []byte) (*Session, error) {
	if len(data) > MaxSessionSize {
		return nil, fmt.Errorf("halfshake: %w: %d bytes, at most %d", ErrBadSession, len(data), MaxSessionSize)
	}
	var format, sum uint32
	var id, body cryptobyte.String
	s := &Session{}
	b := cryptobyte.String(bytes.Clone(data))
	if !b.ReadUint32(&format) || format != encodingFormat ||
		!b.ReadUint8LengthPrefixed(&id) || !validID(id) ||
		len(b) < 4 || !b.ReadBytes((*[]byte)(&body), len(b)-4) ||
		!b.ReadUint32(&sum) || sum != crc32.Checksum(data[:len(data)-4], castagnoli) ||
		!s.readBody(body) ||
		!validTimes(uint64(s.created), uint64(s.expires)) ||
		s.limit != 0 && s.limit < s.expires ||
		len(s.state) == 0 ||
		!validFields(s.fields) {
		return nil, fmt.Errorf("halfshake: %w (%d bytes)", ErrBadSession, len(data))
	}
	s.serial, s.id = nextSerial(), stringOf(id)
	return s, nil
}

// readBody reads the output of appendBody, which must be all of b. The session keeps b.
// It does not check whether the values make sense.
func (s *Session) readBody(b cryptobyte.String) bool {
	var created, expires, limit uint64
	var name, alpn, state, fields cryptobyte.String
	if !b.CopyBytes(s.lineage[:]) ||
		!b.ReadUint16(&s.version) ||
		!b.ReadUint16(&s.suite) ||
		!b.ReadUint64(&created) ||
		!b.ReadUint64(&expires) ||
		!b.ReadUint64(&limit) ||
		!b.ReadUint8LengthPrefixed(&name) ||
		!b.ReadUint8LengthPrefixed(&alpn) ||
		!b.CopyBytes(s.scope[:]) ||
		!b.ReadUint16LengthPrefixed(&state) ||
		!b.ReadUint16LengthPrefixed(&fields) ||
		!b.Empty() {
		return false
	}
	s.created, s.expires, s.limit = int64(created), int64(expires), int64(limit)
	s.serverName, s.alpn, s.state, s.fields = stringOf(name), stringOf(alpn), state, fields
	return true
}

// validFields reports whether b is a list of fields in ascending order of kind.
func validFields(b cryptobyte.String) bool {
	for last := -1; !b.Empty(); {
		var kind uint16
		var data cryptobyte.String
		if !b.ReadUint16(&kind) || int(kind) <= last || !b.ReadUint16LengthPrefixed(&data) ||
			kind == fieldData && (data.Empty() || len(data) > MaxDataSize) {
			return false
		}
		last = int(kind)
	}
	return true
}

// stringOf returns b as a string, without a copy. Every look-up decodes a session, so a
// decoded session keeps all of its bytes in one allocation. Nothing writes to it again.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func validID[T ~string | ~[]byte](id T) bool { return len(id) >= 1 && len(id) <= MaxIDSize }

// validTimes bounds the times, so that arithmetic with them cannot overflow.
func validTimes(created, expires uint64) bool {
	return created <= expires && expires <= math.MaxInt64/uint64(1e9)
}
