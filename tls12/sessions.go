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

// Sessions is a server's session cache as the engine sees it. Its methods are
// called on the handshake's goroutine, under no lock but the connection's own,
// with the context of the handshake; they must honour it, and not call the
// connection's methods. They are called for many connections at once.
//
// What a client sends is hostile until its Finished is verified: until then only
// Lookup and NewID are called.
type Sessions interface {
	// Lookup returns the session that the client may resume, or nil. It is
	// called once for each ClientHello that proposes an id, which has 1 to 32
	// bytes, and is to be copied if it is kept. Every decision is its own: the
	// engine only repeats [ClientHello.MayResume].
	Lookup(ctx context.Context, hello *ClientHello, id []byte) *Session

	// NewID returns the id, of at most 32 bytes, for the session that a full
	// handshake is about to make, or nil for none. It is not called for a
	// session that could not be resumed.
	NewID(ctx context.Context, hello *ClientHello) []byte

	// Completed is called when a full handshake is complete but for the server's
	// Finished: the client's is verified, and the client may resume at once. s
	// is nil if no session was made that could be resumed.
	Completed(ctx context.Context, hello *ClientHello, s *Session)

	// Resumed is called when an abbreviated handshake is complete: the client's
	// Finished, which proves that it has the secret, is verified. If the session
	// was removed after Lookup returned it, the implementation finds out here: the
	// connection goes on, because its handshake began before the removal, but
	// nothing made from the session may be stored.
	Resumed(ctx context.Context, hello *ClientHello, s *Session)

	// Ended is called at most once for a connection, after Completed or Resumed
	// with the same session, and says how the connection ended. It comes from Read,
	// Close or the end of a handshake, and holds that up. A connection that is
	// neither closed nor read to its end says nothing.
	Ended(s *Session, how Ending)
}

// An Ending is how a connection ended.
type Ending int

// The endings, as libssl distinguishes them.
const (
	CleanEnd   Ending = iota // Close or CloseWrite, even if the peer did not take close_notify
	UncleanEnd               // the transport ended without close_notify, or Close interrupted a Write or the handshake
	AlertEnd                 // a fatal alert was sent or received
)

func (e Ending) String() string {
	return [...]string{"clean", "unclean", "alert"}[e]
}

// A Session is what a full handshake agreed on. It is immutable: nobody may
// change what its fields refer to. MasterSecret is a live key; printing or
// encoding a Session shows neither it nor the id.
type Session struct {
	ID                   []byte `json:"-"`
	MasterSecret         []byte `json:"-"` // 48 bytes
	CipherSuite          uint16
	ExtendedMasterSecret bool
	CreatedAt            time.Time

	ServerName string      // that the client asked for
	ALPN       string      // of the first handshake; each one negotiates its own
	CurveID    tls.CurveID // of the first handshake's key exchange

	// ServerNotAfter is when the server's certificate expires that the full
	// handshake used. It is zero if unknown.
	ServerNotAfter time.Time

	// Of the peer, and what was verified of it.
	PeerCertificates            []*x509.Certificate
	VerifiedChains              [][]*x509.Certificate
	OCSPResponse                []byte
	SignedCertificateTimestamps [][]byte
}

// String names the session without anything secret.
func (s Session) String() string {
	return fmt.Sprintf("tls12.Session(%s, created %s)", tls.CipherSuiteName(s.CipherSuite), s.CreatedAt.Format(time.RFC3339))
}

// Format is String for every verb.
func (s Session) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// LogValue is String.
func (s Session) LogValue() slog.Value { return slog.StringValue(s.String()) }

var (
	_ fmt.Formatter  = Session{}
	_ slog.LogValuer = Session{}
)

// A ClientHello is what a client offers. It is immutable.
type ClientHello struct {
	Conn net.Conn // the connection below; not to be read or written

	ServerName           string // SNI, or ""
	Protocols            []string
	ALPN                 string // the protocol that was chosen, or ""
	CipherSuites         []uint16
	Extensions           []uint16
	ExtendedMasterSecret bool
	SessionTicket        bool // the extension is there; the engine has no tickets

	config *tls.Config
}

// Why a session cannot be resumed by the protocol's own rules.
var (
	ErrMalformed        = errors.New("tls12: the session has no usable master secret")
	ErrSuiteNotOffered  = errors.New("tls12: the client does not offer the session's cipher suite")
	ErrSuiteNotAllowed  = errors.New("tls12: the session's cipher suite is not enabled")
	ErrNoExtendedMaster = errors.New("tls12: the session has no extended master secret")

	// ErrExtendedMasterDropped is the one that aborts the handshake (RFC 7627,
	// section 5.3).
	ErrExtendedMasterDropped = errors.New("tls12: the session has an extended master secret and the client offers none")
)

// MayResume returns nil if the protocol lets this client resume s, and otherwise
// why not. The engine asks it of each session that Lookup returns; a Lookup that
// spends something on its answer can ask before.
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
