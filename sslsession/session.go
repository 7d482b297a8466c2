package sslsession

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// A Session holds every field of OpenSSL's encoding. A nil slice means that the field is
// absent, and an empty one that it is present and empty. A number that is 0 is absent,
// unless its comment says otherwise.
//
// The zero Session has no meaning: set at least Version and CipherSuite.
type Session struct {
	// Version is the protocol version, as in [tls.ConnectionState]. It is a version of
	// SSL 3.0, TLS or DTLS.
	Version uint16
	// CipherSuite is the cipher suite, as in [tls.ConnectionState].
	CipherSuite uint16
	// ID is the session id, at most 32 bytes. It is always written.
	ID []byte
	// MasterKey is the master secret, or in TLS 1.3 the pre-shared key, at most 512
	// bytes. It is always written.
	MasterKey []byte
	// Time is when the session was made, in Unix seconds. OpenSSL reads 0 as the time
	// of reading.
	Time int64
	// Timeout is how long the session may be resumed, in seconds from Time. OpenSSL
	// reads 0 as three seconds.
	Timeout int64
	// PeerCertificate is the peer's certificate in DER. OpenSSL does not write the chain.
	PeerCertificate []byte
	// IDContext is the session id context of SSL_CTX_set_session_id_context(3), at most
	// 32 bytes. It is always written.
	IDContext []byte
	// VerifyResult is an X509_V_ constant: 0 if the peer's certificate was verified, or
	// if there was none.
	VerifyResult int32
	// ServerName is the name that the client asked for (SNI). It contains no NUL.
	ServerName []byte
	// PSKIdentityHint, PSKIdentity and SRPUser contain no NUL.
	PSKIdentityHint, PSKIdentity, SRPUser []byte
	// TicketLifetimeHint is the ticket lifetime that the server announced, in seconds.
	TicketLifetimeHint uint32
	// Ticket is the ticket that a client holds.
	Ticket []byte
	// Compression is the compression method of TLS 1.2 and earlier.
	Compression uint8
	// Flags holds [FlagExtendedMasterSecret].
	Flags uint32
	// TicketAgeAdd is added to the ticket's age in TLS 1.3 (RFC 8446 section 4.6.1).
	TicketAgeAdd uint32
	// MaxEarlyData is how many bytes of early data the session allows.
	MaxEarlyData uint32
	// ALPN is the negotiated application protocol.
	ALPN []byte
	// MaxFragmentLength is the mode of RFC 6066 section 4: 1 to 4, 0 for a session that
	// was negotiated without the extension, or 255 for a session that no handshake made.
	MaxFragmentLength uint8
	// TicketData is the application's data of SSL_SESSION_set1_ticket_appdata(3).
	TicketData []byte
	// Group is the key exchange's group. It is written even if it is 0, unless
	// WithoutGroup is set.
	Group uint32
	// WithoutGroup leaves Group out, as OpenSSL 1.1.1 and earlier do.
	WithoutGroup bool
	// PeerPublicKey is the peer's raw public key (RFC 7250), a SubjectPublicKeyInfo in
	// DER. OpenSSL 3.2 and later write it.
	PeerPublicKey []byte
	// Unknown holds the fields of later releases, verbatim: context tags 21 to 30, in
	// ascending order.
	Unknown []byte
}

// FlagExtendedMasterSecret in [Session.Flags] says that the master secret is bound to the
// handshake (RFC 7627): SSL_SESS_FLAG_EXTMS.
const FlagExtendedMasterSecret = 1

// Bounds of an encoding.
const (
	// MaxSize is the length in bytes of the longest encoding. It leaves room for a
	// certificate and a ticket of 64 KiB each.
	MaxSize = 256 << 10

	maxID  = 32  // SSL_MAX_SSL_SESSION_ID_LENGTH
	maxKey = 512 // TLS13_MAX_RESUMPTION_PSK_LENGTH
)

// ExtendedMasterSecret reports whether FlagExtendedMasterSecret is set.
func (s *Session) ExtendedMasterSecret() bool { return s.Flags&FlagExtendedMasterSecret != 0 }

// Certificate parses PeerCertificate. It returns nil, nil if there is none.
func (s *Session) Certificate() (*x509.Certificate, error) {
	if s.PeerCertificate == nil {
		return nil, nil
	}
	cert, err := x509.ParseCertificate(s.PeerCertificate)
	if err != nil {
		return nil, fmt.Errorf("sslsession: peer certificate: %w", err)
	}
	return cert, nil
}

// String returns the session's version, suite and times. It shows no secret, and neither
// do the other forms: every verb, a log line and JSON show the same.
func (s Session) String() string {
	return fmt.Sprintf("SSL_SESSION(%s, %s, made %s, timeout %d s)", tls.VersionName(s.Version), tls.CipherSuiteName(s.CipherSuite),
		time.Unix(s.Time, 0).UTC().Format(time.RFC3339), s.Timeout)
}

// GoString returns the same as String.
func (s Session) GoString() string { return s.String() }

// Format writes the same as String for every verb.
func (s Session) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// LogValue returns the same as String.
func (s Session) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText returns the same as String, so that JSON shows no secret either.
func (s Session) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
