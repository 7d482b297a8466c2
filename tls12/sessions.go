package tls12

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"time"
)

// Sessions is a server's session cache as the engine sees it.
//
// The engine calls its methods on the goroutine that runs the handshake, for many
// connections at once, holding no lock but the connection's own. They must honour
// the context, which is the handshake's, and must not call the connection's methods.
//
// A client is hostile until its Finished is verified. Before that, the engine calls
// only Lookup and NewID.
type Sessions interface {
	// Lookup returns the session that the client may resume, or nil. It is called
	// once for a ClientHello that proposes an id, which has 1 to 32 bytes and must
	// be copied to be kept. Lookup decides alone whether the session resumes: the
	// engine adds only the protocol's rules, which are ClientHello.MayResume.
	Lookup(ctx context.Context, hello *ClientHello, id []byte) *Session

	// NewID returns the id, of at most 32 bytes, for the session that a full
	// handshake is about to make, or nil if it is to make none. It is not called
	// for a session that could not be resumed.
	NewID(ctx context.Context, hello *ClientHello) []byte

	// Completed is called at the end of a full handshake, when the client's
	// Finished is verified and the server's is about to be sent; the client may
	// resume as soon as it has that. s is nil if the handshake made no session that
	// can be resumed.
	Completed(ctx context.Context, hello *ClientHello, s *Session)

	// Resumed is called at the end of an abbreviated handshake, when the client's
	// Finished is verified, which proves that the client has the session's secret.
	// If the session was removed after Lookup returned it, the implementation finds
	// out here: the connection goes on, because its handshake began before the
	// removal, but nothing made from the session may be stored.
	Resumed(ctx context.Context, hello *ClientHello, s *Session)

	// Ended is called when a connection ends for which Completed or Resumed was
	// called with s, at most once. It runs within Read, Close or the end of the
	// handshake, which wait for it. It is not called for a connection that is
	// neither closed nor read to its end.
	Ended(s *Session, how Ending)
}

// An Ending is how a connection ended.
type Ending int

// The endings, distinguished as in libssl.
const (
	CleanEnd   Ending = iota // Close or CloseWrite, even if the peer did not take close_notify
	UncleanEnd               // the transport ended without close_notify, or Close interrupted a Write or the handshake
	AlertEnd                 // a fatal alert was sent or received
)

func (e Ending) String() string {
	return [...]string{"clean", "unclean", "alert"}[e]
}

// A Session is what a full handshake agreed on. It is immutable, and so is what its
// fields refer to. MasterSecret is a live key: printing or encoding a Session shows
// neither it nor the id.
type Session struct {
	ID                   []byte `json:"-"`
	MasterSecret         []byte `json:"-"` // 48 bytes
	CipherSuite          uint16
	ExtendedMasterSecret bool
	CreatedAt            time.Time

	ServerName string      // that the client asked for, or ""
	ALPN       string      // of the full handshake; each handshake negotiates its own
	CurveID    tls.CurveID // of the full handshake's key exchange

	// ServerNotAfter is when the certificate expires that the server used in the
	// full handshake. It is zero if unknown.
	ServerNotAfter time.Time

	// What the peer sent in the full handshake, and the chains verified then.
	PeerCertificates            []*x509.Certificate
	VerifiedChains              [][]*x509.Certificate
	OCSPResponse                []byte
	SignedCertificateTimestamps [][]byte
}

// String describes the session without its id and secret.
func (s Session) String() string {
	return fmt.Sprintf("tls12.Session(%s, created %s)", tls.CipherSuiteName(s.CipherSuite), s.CreatedAt.Format(time.RFC3339))
}

// Format prints String for every verb.
func (s Session) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// LogValue returns String.
func (s Session) LogValue() slog.Value { return slog.StringValue(s.String()) }

var (
	_ fmt.Formatter  = Session{}
	_ slog.LogValuer = Session{}
)

// A ClientHello is what a client offers. It must not be changed.
type ClientHello struct {
	Conn net.Conn // the connection below, which must not be read, written or closed

	ServerName           string // SNI, or ""
	Protocols            []string
	ALPN                 string // the protocol chosen from Protocols, or ""
	CipherSuites         []uint16
	Extensions           []uint16
	ExtendedMasterSecret bool
	SessionTicket        bool // the client offers to take tickets, which this engine does not issue

	config *tls.Config
}

// Errors of [ClientHello.MayResume].
var (
	ErrMalformed        = errors.New("tls12: the session has no usable master secret")
	ErrSuiteNotOffered  = errors.New("tls12: the client does not offer the session's cipher suite")
	ErrSuiteNotAllowed  = errors.New("tls12: the session's cipher suite is not enabled")
	ErrNoExtendedMaster = errors.New("tls12: the session has no extended master secret")

	// ErrExtendedMasterDropped is the only one that ends the handshake (RFC 7627,
	// section 5.3). The others lead to a full handshake.
	ErrExtendedMasterDropped = errors.New("tls12: the session has an extended master secret and the client offers none")
)

// MayResume returns nil if the protocol allows this client to resume s, and otherwise
// an error of this package, such as [ErrSuiteNotOffered]. The engine calls it for every session that Lookup returns.
// A Lookup that uses the session up can call it first.
func (h *ClientHello) MayResume(s *Session) error {
	switch {
	case len(s.MasterSecret) != masterSecretLen || bytes.Equal(s.MasterSecret, make([]byte, masterSecretLen)):
		return ErrMalformed
	case !s.ExtendedMasterSecret:
		return ErrNoExtendedMaster
	case !slices.Contains(h.CipherSuites, s.CipherSuite):
		return ErrSuiteNotOffered
	case suiteByID(s.CipherSuite) == nil || !allowsSuite(h.config, s.CipherSuite):
		return ErrSuiteNotAllowed
	case !h.ExtendedMasterSecret:
		return ErrExtendedMasterDropped
	}
	return nil
}
