package tls12

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"sync"
	"time"
)

// An agreement is what a handshake agrees on, apart from the secrets.
type agreement struct {
	resumed        bool
	extendedMaster bool
	suite          uint16
	curve          tls.CurveID
	serverName     string
	protocol       string
	serverNotAfter time.Time // of the server's certificate; zero if unknown
	certificates   []*x509.Certificate
	chains         [][]*x509.Certificate
	staple         []byte
	timestamps     [][]byte
	unique         []byte // the first Finished (RFC 5929, section 3)
}

// ConnectionState completes the handshake, because net/http relies on that, and
// returns what it agreed on. If the handshake failed, HandshakeComplete is false and
// the other fields say what had been agreed on.
func (c *Conn) ConnectionState() tls.ConnectionState {
	c.Handshake() // the state says whether it failed
	return c.state()
}

// state returns the ConnectionState within the handshake.
func (c *Conn) state() tls.ConnectionState {
	a, s := &c.agreed, blankState()
	s.HandshakeComplete = c.complete.Load()
	s.Version = tls.VersionTLS12
	s.DidResume = a.resumed
	s.CipherSuite = a.suite
	s.CurveID = a.curve
	s.ServerName = a.serverName
	s.NegotiatedProtocol = a.protocol
	s.NegotiatedProtocolIsMutual = true //lint:ignore SA1019 crypto/tls sets it too
	s.PeerCertificates = a.certificates
	s.VerifiedChains = a.chains
	s.OCSPResponse = a.staple
	s.SignedCertificateTimestamps = a.timestamps
	s.TLSUnique = slices.Clone(a.unique)
	return s
}

// blankState is a state whose ExportKeyingMaterial returns an error. The method of a
// zero tls.ConnectionState would panic.
var blankState = sync.OnceValue(func() tls.ConnectionState {
	return tls.Server(nil, &tls.Config{Renegotiation: tls.RenegotiateFreelyAsClient}).ConnectionState()
})

// newSession returns the session that a full handshake made.
func (c *Conn) newSession(id, master []byte) *Session {
	a := &c.agreed
	return &Session{
		ID:                          id,
		MasterSecret:                master,
		CipherSuite:                 a.suite,
		ExtendedMasterSecret:        a.extendedMaster,
		CreatedAt:                   timeOf(c.config),
		ServerName:                  a.serverName,
		ALPN:                        a.protocol,
		CurveID:                     a.curve,
		ServerNotAfter:              a.serverNotAfter,
		PeerCertificates:            a.certificates,
		VerifiedChains:              a.chains,
		OCSPResponse:                a.staple,
		SignedCertificateTimestamps: a.timestamps,
	}
}
