package halfshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"time"

	"github.com/halfshake/halfshake/internal/ending"
	"github.com/halfshake/halfshake/internal/sessionstate"
	"github.com/halfshake/halfshake/tls12"
)

// engine12 translates between package tls12 and the events of a handshake. It stores
// sessions in crypto/tls's format, so each engine can resume the other's sessions if the
// client offers them.
type engine12 struct{ *handshake }

var _ tls12.Sessions = engine12{}

// hello updates the handshake with what the client offers.
func (e engine12) hello(ctx context.Context, hello *tls12.ClientHello) *handshake {
	e.begin(ctx, hello.Conn, nil)
	e.negotiated(hello.ServerName, hello.ALPN, tls.VersionTLS12)
	return e.handshake
}

// Lookup reports that the client proposes an id.
func (e engine12) Lookup(ctx context.Context, hello *tls12.ClientHello, id []byte) *tls12.Session {
	h := e.hello(ctx, hello)
	h.offered = slices.DeleteFunc(slices.Clone(hello.CipherSuites), func(suite uint16) bool { return !tls12.HasSuite(suite) })
	f := h.propose(id, 0)
	h.offered = nil
	if f == nil {
		return nil
	}
	session, err := e.decode(f)
	if err != nil {
		h.undecodable(f)
		return nil
	}
	return session
}

// decode converts a session of the cache to a session of package tls12.
func (e engine12) decode(f *found) (*tls12.Session, error) {
	st := f.state
	peer, err := st.PeerCertificates()
	if err != nil {
		return nil, err
	}
	session := &tls12.Session{
		ID: []byte(f.id), MasterSecret: st.Secret, CipherSuite: st.CipherSuite,
		ExtendedMasterSecret: st.ExtendedMasterSecret, CreatedAt: time.Unix(int64(st.CreatedAt), 0),
		ServerName: f.serverName, ALPN: f.alpn, CurveID: st.CurveID,
	}
	if len(peer) > 0 {
		session.PeerCertificates = peer
		session.VerifiedChains, err = st.VerifiedChains(peer[0], &e.cache.authorities)
	}
	return session, err
}

// NewID returns the id for a new session.
func (e engine12) NewID(ctx context.Context, hello *tls12.ClientHello) []byte {
	return e.hello(ctx, hello).newID()
}

// Completed reports a full handshake and the session that it made.
func (e engine12) Completed(ctx context.Context, hello *tls12.ClientHello, s *tls12.Session) {
	h := e.hello(ctx, hello)
	switch {
	case s != nil:
		h.policy.serverNotAfter = s.ServerNotAfter
		e.made(s)
	case !hello.ExtendedMasterSecret && h.stores():
		h.notCached(RefusedExtendedMasterSecret)
	}
	h.completed(false)
}

// made encodes a session as crypto/tls does.
func (e engine12) made(s *tls12.Session) {
	st := &sessionstate.State{
		Version: tls.VersionTLS12, CipherSuite: s.CipherSuite, CreatedAt: uint64(s.CreatedAt.Unix()),
		Secret: s.MasterSecret, ExtendedMasterSecret: s.ExtendedMasterSecret, CurveID: s.CurveID,
		Certificates: ders(s.PeerCertificates),
	}
	for _, chain := range s.VerifiedChains {
		st.Chains = append(st.Chains, ders(chain[1:]))
	}
	state, err := sessionstate.Build(st)
	if err != nil { // the chain is too long for the encoding's length fields
		e.notCached(RefusedTooLarge)
		return
	}
	e.handshake.made(state, s.ID, false)
}

func ders(certs []*x509.Certificate) [][]byte {
	var out [][]byte
	for _, cert := range certs {
		out = append(out, cert.Raw)
	}
	return out
}

// Resumed reports a resumption: the client has proved that it has the secret.
func (e engine12) Resumed(ctx context.Context, hello *tls12.ClientHello, _ *tls12.Session) {
	e.hello(ctx, hello).completed(true)
}

// Ended reports how the connection ended.
func (e engine12) Ended(_ *tls12.Session, how tls12.Ending) {
	switch how {
	case tls12.AlertEnd:
		e.ended(ending.Alert)
	case tls12.UncleanEnd:
		e.ended(ending.Unclean)
	}
}
