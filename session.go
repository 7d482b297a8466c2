package halfshake

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/halfshake/halfshake/internal/sessioncache"
	"github.com/halfshake/halfshake/internal/sessionref"
	"github.com/halfshake/halfshake/internal/sessionstate"
)

// A Session is the state that a client may resume: OpenSSL's SSL_SESSION. It holds the
// resumable secret, the parameters negotiated when it was made, and the scope it may be
// resumed under.
//
// A Session never changes, and so is safe for concurrent use. To modify one, encode it,
// change the encoding, parse it and [Cache.Add] the result. The internal cache keeps
// bytes and decodes them anew each time. Two pointers may therefore be the same session:
// compare ids.
//
// The formatted and logged forms of a Session contain neither its id nor its secret. The
// slices that its methods return are copies.
type Session struct {
	// serial distinguishes this session from others with the same id. Every Session
	// that the internal cache decodes from one entry has the same serial.
	serial uint64

	id               string
	version, suite   uint16
	created, expires int64 // Unix seconds
	limit            int64 // of expires, under ModeUpdateTime too; 0 for none
	lineage          Lineage
	serverName, alpn string
	scope            [32]byte
	state            []byte // of crypto/tls, verbatim
	fields           []byte // of the encoding, those of unknown kinds too

	// proved is set once the client's Finished has been verified; nil for a
	// session that was decoded.
	proved *atomic.Bool
}

// Bounds of a session. MaxIDSize is the limit of TLS 1.2's session_id field (RFC 5246
// section 7.4.1.2) and applies to every id here; see CVE-2002-0656.
const (
	// MaxIDSize is the length in bytes of the longest session id.
	MaxIDSize = 32
	// MaxSessionSize is the length in bytes of the largest encoded session;
	// a larger one is not cached.
	MaxSessionSize = 16 << 10
)

var lastSerial atomic.Uint64

func nextSerial() uint64 { return lastSerial.Add(1) }

// ID returns the session id, 1 to 32 bytes. Keep it out of logs, because a client can
// offer any id that it knows. Use [Session.Ref] there.
func (s *Session) ID() []byte { return []byte(s.id) }

// Ref identifies the session in logs and answers without revealing its id. It is the
// first 16 hexadecimal digits of a digest of the id.
func (s *Session) Ref() string { return refOf(s.id) }

func refOf(id string) string { return sessionref.Of(id) }

// Created returns when the session was established, or last used under
// [ModeUpdateTime], in whole seconds.
func (s *Session) Created() time.Time { return time.Unix(s.created, 0) }

// Expires returns the last second in which the session may be resumed.
func (s *Session) Expires() time.Time { return time.Unix(s.expires, 0) }

// Lineage identifies the full handshake from which the session descends through
// resumptions.
func (s *Session) Lineage() Lineage { return s.lineage }

// LineageStart returns when that handshake took place, to the millisecond.
func (s *Session) LineageStart() time.Time { return s.lineage.Start() }

// Proved reports whether the client has completed the handshake that made the session, as
// far as the engine can tell. Until then the client has proved nothing. Proved may turn
// from false to true. It is false for a session that was decoded.
func (s *Session) Proved() bool { return s.proved != nil && s.proved.Load() }

// Client reports whether the session is a client's, made under [Cache.ClientConfig]. It
// never resumes in a server, and a server's session is never offered by a client.
func (s *Session) Client() bool { return sessionstate.OfClient(s.state) }

// SingleUse reports whether the session may resume only once. A server's session does if
// it allows early data. A client's does in TLS 1.3, because two connections that offer
// the same ticket can be linked (RFC 8446 appendix C.4).
func (s *Session) SingleUse() bool {
	if s.Client() {
		return s.version >= tls.VersionTLS13
	}
	return s.EarlyData()
}

// EarlyData reports whether a client may send early data (0-RTT) with a server's session.
// Only QUIC allows it. Such a session resumes once, whether or not early data is sent
// (RFC 8446 section 8.1). It is false for a client's session.
func (s *Session) EarlyData() bool {
	return sessionstate.AllowsEarlyData(s.state)
}

// Version returns the protocol version, as in [tls.ConnectionState].
func (s *Session) Version() uint16 { return s.version }

// CipherSuite returns the cipher suite, as in [tls.ConnectionState].
func (s *Session) CipherSuite() uint16 { return s.suite }

// ServerName returns the name that the client asked for (SNI), or "". Of a client's
// session it is the name that the server's certificate was verified for, which may be an
// IP address.
func (s *Session) ServerName() string { return s.serverName }

// ALPN returns the application protocol that was agreed, or "".
func (s *Session) ALPN() string { return s.alpn }

// Scope returns the digest of what the session may be resumed under. It begins
// with the [Session.ScopeID].
func (s *Session) Scope() [32]byte { return s.scope }

// ScopeID returns the digest of the [Config.Scope] that the session was made under.
func (s *Session) ScopeID() ScopeID { return ScopeID(s.scope[:len(ScopeID{})]) }

// PeerCertificates returns the peer's certificates, leaf first: those of the client, or
// those of the server if the session is a client's. It parses them at each call. It
// returns nil if the peer sent none, or if this release of Go cannot decode the session.
func (s *Session) PeerCertificates() []*x509.Certificate {
	st, err := s.decode()
	if err != nil || len(st.Certificates) == 0 {
		return nil
	}
	certs, err := st.PeerCertificates()
	if err != nil {
		return nil
	}
	return certs
}

// decode decodes the state of either side.
func (s *Session) decode() (*sessionstate.State, error) {
	if s.Client() {
		return sessionstate.ParseClient(s.state)
	}
	return sessionstate.Parse(s.state)
}

// sessionEntry adapts a Session to the internal cache; see sessioncache.Value. The cache
// keeps the id and the body of the encoding.
type sessionEntry struct{ *Session }

func (e sessionEntry) Key() string         { return e.id }
func (e sessionEntry) Serial() uint64      { return e.serial }
func (e sessionEntry) ExpirySecond() int64 { return e.expires }
func (e sessionEntry) Size() int           { return sessioncache.Footprint(len(e.id) + e.bodySize()) }

func (e sessionEntry) AppendRecord(b []byte) []byte {
	return e.appendBody(slices.Grow(b, e.bodySize()))
}

// decodeEntry decodes an entry of the internal cache. The session has the serial of the
// one that was put in.
func decodeEntry(serial uint64, id, body []byte) sessionEntry {
	s := &Session{serial: serial, id: stringOf(id)}
	if !s.readBody(body) {
		panic("halfshake: internal error: the internal cache returned a record that does not decode")
	}
	return sessionEntry{s}
}

// expiredAt reports whether the session has expired. It has not at its last second.
func (s *Session) expiredAt(now time.Time) bool { return now.After(s.Expires()) }

// renewed returns the same session, with its timeout counted from now.
func (s *Session) renewed(now time.Time) *Session {
	r := *s
	r.created = now.Unix()
	r.expires = r.created + (s.expires - s.created)
	if s.limit > 0 {
		r.expires = min(r.expires, s.limit)
	}
	return &r
}

// The text forms of a session. Their receiver is a value, so that they also apply to a
// Session that was copied by mistake.

// String returns the session's ref, version and expiry.
func (s Session) String() string {
	return fmt.Sprintf("Session(%s, %s, expires %s)", s.Ref(), versionName(s.version), s.Expires().UTC().Format(time.RFC3339))
}

// GoString returns the same as String: %#v must not show the id either.
func (s Session) GoString() string { return s.String() }

// Format writes the same as String for every verb.
func (s Session) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// LogValue returns the ref, lineage, version and expiry as a group.
func (s Session) LogValue() slog.Value {
	return slog.GroupValue(slog.String("ref", s.Ref()), slog.String("lineage", s.lineage.String()), slog.String("version", versionName(s.version)),
		slog.Time("expires", s.Expires()))
}
