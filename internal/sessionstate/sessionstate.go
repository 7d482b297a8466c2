// Package sessionstate reads and builds the bytes of a crypto/tls session.
//
// crypto/tls calls the encoding of [tls.SessionState.Bytes] opaque, and may
// change it in any Go release. Halfshake stores those bytes verbatim and this
// package is the only one that looks inside, because the decision to resume
// needs what is in them: the version, the suite, the time of creation, the
// extended master secret and the client's certificates. The layout is the one
// described above type SessionState in crypto/tls/ticket.go, unchanged from Go
// 1.21 to Go 1.26. The caller treats bytes that do not parse as a miss, so a change of
// the layout costs only full handshakes. The tests compare every field with a live
// connection, and so fail on the first Go release that changes the layout.
package sessionstate

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	"golang.org/x/crypto/cryptobyte"
)

// ErrMalformed is returned for bytes that are not a session of crypto/tls in the layout
// that this package knows, or not one of the side that was asked for.
var ErrMalformed = errors.New("sessionstate: not a session of this side in the layout of this crypto/tls")

// The values of SessionStateType.
const (
	typeServer = 1
	typeClient = 2
)

// State is what Halfshake reads in a crypto/tls session. Its fields alias the
// bytes it was parsed from.
type State struct {
	Version              uint16
	CipherSuite          uint16
	CreatedAt            uint64 // Unix seconds; in TLS 1.2 of the master secret
	Secret               []byte // TLS 1.2 master secret, or TLS 1.3 PSK
	ExtendedMasterSecret bool
	EarlyData            bool
	CurveID              tls.CurveID // up to TLS 1.2

	// Certificates is the peer's chain as it was sent, leaf first, in DER;
	// Chains are the verified ones, each without the leaf and ending in the
	// trusted root.
	Certificates [][]byte
	Chains       [][][]byte

	// UseBy is when the ticket of a client's TLS 1.3 session expires, in Unix seconds.
	// AgeAdd is added to its age (RFC 8446 section 4.6.1).
	UseBy  uint64
	AgeAdd uint32

	// Staple and Timestamps came with the leaf.
	Staple     []byte
	Timestamps [][]byte
}

// Parse reads a server's session. It reads the whole of data, which must end where the
// session ends.
func Parse(data []byte) (*State, error) { return parse(data, typeServer) }

// ParseClient is Parse for a client's session, which always has the server's
// certificates.
func ParseClient(data []byte) (*State, error) {
	st, err := parse(data, typeClient)
	if err == nil && len(st.Certificates) == 0 {
		return nil, ErrMalformed
	}
	return st, err
}

// OfClient reports whether data is the state of a client's session. It reads no further
// than that.
func OfClient(data []byte) bool { return len(data) > 2 && data[2] == typeClient }

func parse(data []byte, side uint8) (*State, error) {
	var (
		st                           State
		typ, ems, early              uint8
		secret, extra, certs, chains cryptobyte.String
	)
	s := cryptobyte.String(data)
	if !s.ReadUint16(&st.Version) ||
		!s.ReadUint8(&typ) || typ != side ||
		!s.ReadUint16(&st.CipherSuite) ||
		!s.ReadUint64(&st.CreatedAt) ||
		!s.ReadUint8LengthPrefixed(&secret) || secret.Empty() ||
		!s.ReadUint24LengthPrefixed(&extra) || !skipExtra(extra) ||
		!s.ReadUint8(&ems) || ems > 1 ||
		!s.ReadUint8(&early) || early > 1 ||
		!s.ReadUint24LengthPrefixed(&certs) || !readCertificates(certs, &st) ||
		!s.ReadUint24LengthPrefixed(&chains) || !readChains(chains, &st.Chains) ||
		!skipALPN(&s, early == 1) ||
		!readCurve(&s, &st) ||
		!readUse(&s, &st, side) ||
		!s.Empty() {
		return nil, ErrMalformed
	}
	st.Secret = secret
	st.ExtendedMasterSecret = ems == 1
	st.EarlyData = early == 1
	return &st, nil
}

// AllowsEarlyData is Parse, for the EarlyData of a server's session alone and without
// reading what follows that. It is false for what does not parse so far.
func AllowsEarlyData(data []byte) bool {
	const fixed = 2 + 1 + 2 + 8 // version, type, suite, time of creation
	var secret, extra cryptobyte.String
	var ems, early uint8
	s := cryptobyte.String(data)
	return s.Skip(fixed) && data[2] == typeServer &&
		s.ReadUint8LengthPrefixed(&secret) && s.ReadUint24LengthPrefixed(&extra) &&
		s.ReadUint8(&ems) && s.ReadUint8(&early) && early == 1
}

// skipExtra passes over what other layers have added.
func skipExtra(list cryptobyte.String) bool {
	for !list.Empty() {
		var one cryptobyte.String
		if !list.ReadUint24LengthPrefixed(&one) {
			return false
		}
	}
	return true
}

// readCertificates reads the CertificateEntry list of RFC 8446 section 4.4.2.
func readCertificates(list cryptobyte.String, st *State) bool {
	for !list.Empty() {
		var der, extensions cryptobyte.String
		if !list.ReadUint24LengthPrefixed(&der) || !list.ReadUint16LengthPrefixed(&extensions) ||
			!readExtensions(extensions, st) {
			return false
		}
		st.Certificates = append(st.Certificates, der)
	}
	return true
}

// The extensions of a leaf that crypto/tls reads, and the type of a staple.
const (
	statusRequest               = 5
	signedCertificateTimestamps = 18
	ocsp                        = 1
)

// readExtensions reads what came with the next certificate. Of the leaf, as in
// crypto/tls, these are the staple (RFC 6066 section 8) and the SCTs (RFC 6962 section
// 3.3), which must not be malformed.
func readExtensions(list cryptobyte.String, st *State) bool {
	ofLeaf := len(st.Certificates) == 0
	for !list.Empty() {
		var kind uint16
		var data cryptobyte.String
		if !list.ReadUint16(&kind) || !list.ReadUint16LengthPrefixed(&data) ||
			ofLeaf && kind == statusRequest && !readStaple(data, st) ||
			ofLeaf && kind == signedCertificateTimestamps && !readTimestamps(data, st) {
			return false
		}
	}
	return true
}

func readStaple(data cryptobyte.String, st *State) bool {
	var kind uint8
	var staple cryptobyte.String
	ok := data.ReadUint8(&kind) && kind == ocsp &&
		data.ReadUint24LengthPrefixed(&staple) && !staple.Empty() && data.Empty()
	st.Staple = staple
	return ok
}

func readTimestamps(data cryptobyte.String, st *State) bool {
	var list, one cryptobyte.String
	if !data.ReadUint16LengthPrefixed(&list) || list.Empty() || !data.Empty() {
		return false
	}
	for !list.Empty() {
		if !list.ReadUint16LengthPrefixed(&one) || one.Empty() {
			return false
		}
		st.Timestamps = append(st.Timestamps, one)
	}
	return true
}

func readChains(list cryptobyte.String, out *[][][]byte) bool {
	for !list.Empty() {
		var certs cryptobyte.String
		if !list.ReadUint24LengthPrefixed(&certs) {
			return false
		}
		chain := [][]byte{}
		for !certs.Empty() {
			var der cryptobyte.String
			if !certs.ReadUint24LengthPrefixed(&der) {
				return false
			}
			chain = append(chain, der)
		}
		*out = append(*out, chain)
	}
	return true
}

// skipALPN passes over the protocol that is there only with early data.
func skipALPN(s *cryptobyte.String, earlyData bool) bool {
	var alpn cryptobyte.String
	return !earlyData || s.ReadUint8LengthPrefixed(&alpn)
}

// readCurve reads the curve_id that is there only up to TLS 1.2.
func readCurve(s *cryptobyte.String, st *State) bool {
	return st.Version >= tls.VersionTLS13 || s.ReadUint16((*uint16)(&st.CurveID))
}

// readUse reads the times that only a client's TLS 1.3 session has.
func readUse(s *cryptobyte.String, st *State, side uint8) bool {
	return side == typeServer || st.Version < tls.VersionTLS13 || s.ReadUint64(&st.UseBy) && s.ReadUint32(&st.AgeAdd)
}

// PeerCertificates parses the chain that the peer sent, leaf first.
func (st *State) PeerCertificates() ([]*x509.Certificate, error) {
	certs := make([]*x509.Certificate, 0, len(st.Certificates))
	for _, der := range st.Certificates {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("sessionstate: peer certificate: %w", err)
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

// Leaf parses the peer's own certificate; State must have one.
func (st *State) Leaf() (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(st.Certificates[0])
	if err != nil {
		return nil, fmt.Errorf("sessionstate: peer certificate: %w", err)
	}
	return cert, nil
}

// VerifiedChains returns the verified chains, each with leaf as its first. The
// authorities in them are parsed once for all sessions.
func (st *State) VerifiedChains(leaf *x509.Certificate, authorities *Authorities) ([][]*x509.Certificate, error) {
	chains, err := st.AuthorityChains(authorities)
	for i, chain := range chains {
		chains[i] = append([]*x509.Certificate{leaf}, chain...)
	}
	return chains, err
}

// AuthorityChains returns the verified chains, each without the leaf: one whose
// leaf is itself trusted is empty.
func (st *State) AuthorityChains(authorities *Authorities) ([][]*x509.Certificate, error) {
	chains := make([][]*x509.Certificate, 0, len(st.Chains))
	for _, ders := range st.Chains {
		chain := make([]*x509.Certificate, 0, len(ders))
		for _, der := range ders {
			cert, err := authorities.parse(der)
			if err != nil {
				return nil, fmt.Errorf("sessionstate: verified chain: %w", err)
			}
			chain = append(chain, cert)
		}
		chains = append(chains, chain)
	}
	return chains, nil
}

// Resumable turns stored bytes back into a session for crypto/tls: a fresh
// parse each time, since crypto/tls and the layers above write to it. It allows early
// data only if nobody else can resume the session (RFC 8446 section 8).
func Resumable(data []byte, taken bool) (*tls.SessionState, error) {
	ss, err := tls.ParseSessionState(data)
	if err != nil {
		return nil, err
	}
	ss.EarlyData = ss.EarlyData && taken
	return ss, nil
}

// Offerable turns the stored bytes of a client's session back into one that crypto/tls
// can offer with its ticket. server is the slice of the server's certificates that the
// ConnectionState has if the session resumes, so it identifies the connection.
func Offerable(data, ticket []byte) (cs *tls.ClientSessionState, server []*x509.Certificate, err error) {
	ss, err := tls.ParseSessionState(data)
	if err != nil {
		return nil, nil, err
	}
	server = PeerCertificatesOf(ss)
	cs, err = tls.NewResumptionState(ticket, ss)
	return cs, server, err
}

// PeerCertificatesOf returns the peer's certificates in a session. It is the same slice
// that the ConnectionState of the connection has, and so identifies the connection.
// crypto/tls does not export it.
func PeerCertificatesOf(ss *tls.SessionState) []*x509.Certificate {
	field := reflect.ValueOf(ss).Elem().FieldByName("peerCertificates")
	if !field.IsValid() || field.Type() != reflect.TypeFor[[]*x509.Certificate]() || field.Len() == 0 {
		return nil
	}
	return unsafe.Slice((**x509.Certificate)(field.UnsafePointer()), field.Len())
}
