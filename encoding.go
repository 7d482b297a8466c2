package halfshake

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"golang.org/x/crypto/cryptobyte"
)

// The encoding of a session, all integers in network byte order:
//
//	struct {
//	    uint32 format = 0x48530001;       /* "HS", version 1 */
//	    opaque id<1..32>;
//	    uint16 version;
//	    uint16 cipher_suite;
//	    uint64 created;                   /* Unix seconds */
//	    uint64 expires;                   /* Unix seconds */
//	    uint64 chain_start;               /* Unix seconds */
//	    opaque server_name<0..255>;
//	    opaque alpn<0..255>;
//	    opaque scope[32];
//	    opaque state<1..2^16-1>;          /* tls.SessionState.Bytes, verbatim */
//	} Session;
//
// What parses encodes to the same bytes again.
const encodingFormat uint32 = 0x48530001

// ErrBadSession is wrapped by the errors of [ParseSession].
var ErrBadSession = errors.New("not an encoded session")

var (
	_ encoding.BinaryMarshaler = (*Session)(nil)
	_ encoding.BinaryAppender  = (*Session)(nil)
)

// MarshalBinary encodes the session; [ParseSession] is the inverse. The bytes
// are a live key: seal them before they leave the process.
func (s *Session) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// AppendBinary appends what MarshalBinary returns to b.
func (s *Session) AppendBinary(b []byte) ([]byte, error) {
	if s == nil {
		return nil, errors.New("halfshake: encode session: it is nil")
	}
	b = slices.Grow(b, s.encodedSize())
	b = binary.BigEndian.AppendUint32(b, encodingFormat)
	b = appendShort(b, s.id)
	return s.appendBody(b), nil
}

// appendBody appends all that comes after the id.
func (s *Session) appendBody(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, s.version)
	b = binary.BigEndian.AppendUint16(b, s.suite)
	b = binary.BigEndian.AppendUint64(b, uint64(s.created))
	b = binary.BigEndian.AppendUint64(b, uint64(s.expires))
	b = binary.BigEndian.AppendUint64(b, uint64(s.chainStart))
	b = appendShort(b, s.serverName)
	b = appendShort(b, s.alpn)
	b = append(b, s.scope[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(s.state)))
	return append(b, s.state...)
}

// appendShort appends a string of at most 255 bytes: no session has a longer one.
func appendShort(b []byte, text string) []byte {
	return append(append(b, byte(len(text))), text...)
}

// headSize and bodySize are the lengths of the encoding up to the end of the id,
// and of the rest of it.
func (s *Session) headSize() int { return 4 + 1 + len(s.id) }

func (s *Session) bodySize() int {
	const fixed = 2 + 2 + 8 + 8 + 8 + 1 + 1 + 32 + 2
	return fixed + len(s.serverName) + len(s.alpn) + len(s.state)
}

func (s *Session) encodedSize() int { return s.headSize() + s.bodySize() }

// ParseSession decodes what [Session.MarshalBinary] encoded. Each call returns a
// new session, which [Cache.Add] tells from others of the same id. It does not
// decode crypto/tls's own state inside: a session from another release of Go
// parses, and is refused when it is to be resumed. The error wraps
// [ErrBadSession] and shows nothing of data.
func ParseSession(data []byte) (*Session, error) {
	if len(data) > MaxSessionSize {
		return nil, fmt.Errorf("halfshake: %w: %d bytes, at most %d", ErrBadSession, len(data), MaxSessionSize)
	}
	var format uint32
	var id cryptobyte.String
	s := &Session{}
	b := cryptobyte.String(bytes.Clone(data))
	if !b.ReadUint32(&format) || format != encodingFormat ||
		!b.ReadUint8LengthPrefixed(&id) || !validID(id) ||
		!s.readBody(b) ||
		!validTimes(uint64(s.created), uint64(s.expires)) ||
		uint64(s.chainStart) > uint64(s.created) ||
		len(s.state) == 0 {
		return nil, fmt.Errorf("halfshake: %w (%d bytes)", ErrBadSession, len(data))
	}
	s.serial, s.id = nextSerial(), stringOf(id)
	return s, nil
}

// readBody reads what appendBody wrote: all of b, which is the session's from now
// on. Whether the values make sense is not asked.
func (s *Session) readBody(b cryptobyte.String) bool {
	var created, expires, chainStart uint64
	var name, alpn, state cryptobyte.String
	if !b.ReadUint16(&s.version) ||
		!b.ReadUint16(&s.suite) ||
		!b.ReadUint64(&created) ||
		!b.ReadUint64(&expires) ||
		!b.ReadUint64(&chainStart) ||
		!b.ReadUint8LengthPrefixed(&name) ||
		!b.ReadUint8LengthPrefixed(&alpn) ||
		!b.CopyBytes(s.scope[:]) ||
		!b.ReadUint16LengthPrefixed(&state) ||
		!b.Empty() {
		return false
	}
	s.created, s.expires, s.chainStart = int64(created), int64(expires), int64(chainStart)
	s.serverName, s.alpn, s.state = stringOf(name), stringOf(alpn), state
	return true
}

// stringOf is b as a string, without a copy: a session that is decoded has one
// piece of memory for all of its bytes, because every look-up decodes one. Nothing
// writes to it again.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func validID[T ~string | ~[]byte](id T) bool { return len(id) >= 1 && len(id) <= MaxIDSize }

// validTimes keeps the arithmetic of times far from its ends.
func validTimes(created, expires uint64) bool {
	return created <= expires && expires <= math.MaxInt64/uint64(1e9)
}
