package halfshake

import (
	"crypto/tls"
	"crypto/x509"
	"time"

	"github.com/halfshake/halfshake/internal/sessionstate"
	"github.com/halfshake/halfshake/tls12"
)

// stateOf12 returns what crypto/tls would keep of a session of package tls12.
func stateOf12(s *tls12.Session) *sessionstate.State {
	st := &sessionstate.State{
		Version: tls.VersionTLS12, CipherSuite: s.CipherSuite, CreatedAt: uint64(s.CreatedAt.Unix()),
		Secret: s.MasterSecret, ExtendedMasterSecret: s.ExtendedMasterSecret, CurveID: s.CurveID,
		Certificates: ders(s.PeerCertificates),
	}
	for _, chain := range s.VerifiedChains {
		st.Chains = append(st.Chains, ders(chain[1:]))
	}
	return st
}

// sessionOf12 converts a session of either side to one of package tls12.
func sessionOf12(c *Cache, f *found) (*tls12.Session, error) {
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
		session.VerifiedChains, err = st.VerifiedChains(peer[0], &c.authorities)
	}
	return session, err
}

func ders(certs []*x509.Certificate) [][]byte {
	var out [][]byte
	for _, cert := range certs {
		out = append(out, cert.Raw)
	}
	return out
}
