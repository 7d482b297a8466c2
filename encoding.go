package halfshake

import (
	"errors"
	"fmt"
	"math"

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

// MarshalBinary encodes the session; [ParseSession] is the inverse. The bytes
// are a live key: seal them before they leave the process.
func (s *Session) MarshalBinary() ([]byte, error) {
	if s == nil {
		return nil, errors.New("halfshake: encode session: it is nil")
	}
	var b cryptobyte.Builder
	b.AddUint32(encodingFormat)
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(s.id)) })
	b.AddUint16(s.version)
	b.AddUint16(s.suite)
	b.AddUint64(uint64(s.created))
	b.AddUint64(uint64(s.expires))
	b.AddUint64(uint64(s.chainStart))
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(s.serverName)) })
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(s.alpn)) })
	b.AddBytes(s.scope[:])
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(s.state) })
	data, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("halfshake: encode session: %w", err)
	}
	return data, nil
}

// ParseSession decodes what [Session.MarshalBinary] encoded. Each call returns a
// new object, which [Cache.Add] tells from others of the same id. It does not
// decode crypto/tls's own state inside: a session from another release of Go
// parses, and is refused when it is to be resumed. The error wraps
// [ErrBadSession] and shows nothing of data.
func ParseSession(data []byte) (*Session, error) {
	if len(data) > MaxSessionSize {
		return nil, fmt.Errorf("halfshake: %w: %d bytes, at most %d", ErrBadSession, len(data), MaxSessionSize)
	}
	var (
		format                       uint32
		created, expires, chainStart uint64
		id, name, alpn, state        cryptobyte.String
	)
	sess := &Session{}
	s := cryptobyte.String(data)
	if !s.ReadUint32(&format) || format != encodingFormat ||
		!s.ReadUint8LengthPrefixed(&id) || !validID(id) ||
		!s.ReadUint16(&sess.version) ||
		!s.ReadUint16(&sess.suite) ||
		!s.ReadUint64(&created) ||
		!s.ReadUint64(&expires) || !validTimes(created, expires) ||
		!s.ReadUint64(&chainStart) || chainStart > created ||
		!s.ReadUint8LengthPrefixed(&name) ||
		!s.ReadUint8LengthPrefixed(&alpn) ||
		!s.CopyBytes(sess.scope[:]) ||
		!s.ReadUint16LengthPrefixed(&state) || state.Empty() ||
		!s.Empty() {
		return nil, fmt.Errorf("halfshake: %w (%d bytes)", ErrBadSession, len(data))
	}
	sess.serial = nextSerial()
	sess.id = string(id)
	sess.created, sess.expires, sess.chainStart = int64(created), int64(expires), int64(chainStart)
	sess.serverName, sess.alpn = string(name), string(alpn)
	sess.state = append([]byte(nil), state...)
	return sess, nil
}

func validID[T ~string | ~[]byte](id T) bool { return len(id) >= 1 && len(id) <= MaxIDSize }

// validTimes keeps the arithmetic of times far from its ends.
func validTimes(created, expires uint64) bool {
	return created <= expires && expires <= math.MaxInt64/uint64(1e9)
}
