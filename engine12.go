package halfshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"time"

	"github.com/halfshake/halfshake/internal/sessionstate"
	"github.com/halfshake/halfshake/tls12"
)

// engine12 is what package tls12 asks and tells the cache for one connection. It
// goes through the same two doors as the hooks of crypto/tls do, and its sessions
// have the same form: each engine resumes what the other has made, as long as the
// client offers it.
type engine12 struct {
	cache  *Cache
	policy policy
	conn   *connState
}

var _ tls12.Sessions = (*engine12)(nil)

func (e *engine12) info(hello *tls12.ClientHello) ConnInfo {
	return ConnInfo{
		RemoteAddr: e.conn.RemoteAddr(), LocalAddr: e.conn.LocalAddr(),
		ServerName: hello.ServerName, ALPN: hello.ALPN, Version: tls.VersionTLS12,
	}
}

// Lookup is the door for a session that the client proposes.
func (e *engine12) Lookup(ctx context.Context, hello *tls12.ClientHello, id []byte) *tls12.Session {
	e.conn.proposed = true
	p := proposal{
		ctx: ctx, info: e.info(hello), policy: e.policy, id: id,
		offered: slices.DeleteFunc(slices.Clone(hello.CipherSuites), func(suite uint16) bool { return !tls12.HasSuite(suite) }),
	}
	s, internal := e.cache.lookup(p)
	if s == nil {
		return nil
	}
	session, err := e.decode(s)
	if err != nil {
		e.cache.undecodable(p, s, internal)
		return nil
	}
	e.conn.candidate = s
	return session
}

// decode turns a session of the cache into one of package tls12.
func (e *engine12) decode(s *Session) (*tls12.Session, error) {
	st, err := sessionstate.Parse(s.state)
	if err != nil {
		return nil, err
	}
	peer, err := st.PeerCertificates()
	if err != nil {
		return nil, err
	}
	session := &tls12.Session{
		ID: []byte(s.id), MasterSecret: st.Secret, CipherSuite: st.CipherSuite,
		ExtendedMasterSecret: st.ExtendedMasterSecret, CreatedAt: time.Unix(int64(st.CreatedAt), 0),
		ServerName: s.serverName, ALPN: s.alpn, CurveID: st.CurveID,
	}
	if len(peer) > 0 {
		session.PeerCertificates = peer
		session.VerifiedChains, err = st.VerifiedChains(peer[0], &e.cache.authorities)
	}
	return session, err
}

// NewID returns an id if the session that is being made may be cached.
func (e *engine12) NewID(_ context.Context, hello *tls12.ClientHello) []byte {
	return e.cache.announcedID(e.info(hello), e.policy)
}

// Completed is the door for a session that was made; the client's Finished has
// been verified.
func (e *engine12) Completed(ctx context.Context, hello *tls12.ClientHello, s *tls12.Session) {
	if s != nil {
		if made := e.encode(hello, s); made != nil {
			e.conn.pending = &pendingSession{info: e.info(hello), session: made}
		}
	} else if !hello.ExtendedMasterSecret && e.cache.Mode().serverStores() {
		e.cache.notCached(e.info(hello), RefusedExtendedMasterSecret)
	}
	e.finish(ctx, hello, false)
}

// Resumed confirms the session that Lookup found: the client has proved that it
// has the secret.
func (e *engine12) Resumed(ctx context.Context, hello *tls12.ClientHello, _ *tls12.Session) {
	e.finish(ctx, hello, true)
}

func (e *engine12) finish(ctx context.Context, hello *tls12.ClientHello, resumed bool) {
	e.conn.verified = true
	e.conn.complete(ctx, e.cache, tls.ConnectionState{Version: tls.VersionTLS12, ServerName: hello.ServerName, DidResume: resumed})
}

// encode turns a session of package tls12 into one of the cache; nil if it is not
// to be cached.
func (e *engine12) encode(hello *tls12.ClientHello, s *tls12.Session) *Session {
	st := &sessionstate.State{
		Version: tls.VersionTLS12, CipherSuite: s.CipherSuite, CreatedAt: uint64(s.CreatedAt.Unix()),
		Secret: s.MasterSecret, ExtendedMasterSecret: s.ExtendedMasterSecret, CurveID: s.CurveID,
		Certificates: ders(s.PeerCertificates),
	}
	for _, chain := range s.VerifiedChains {
		st.Chains = append(st.Chains, ders(chain[1:]))
	}
	state, err := sessionstate.Build(st)
	if err != nil { // a chain of more than its lengths can hold
		e.cache.notCached(e.info(hello), RefusedTooLarge)
		return nil
	}
	return e.cache.newSession(established{info: e.info(hello), policy: e.policy, state: state, id: s.ID})
}

func ders(certs []*x509.Certificate) [][]byte {
	var out [][]byte
	for _, cert := range certs {
		out = append(out, cert.Raw)
	}
	return out
}

// Ended removes the connection's session after a fatal alert, and after an unclean
// end as Config.UncleanClose says.
func (e *engine12) Ended(_ *tls12.Session, how tls12.Ending) {
	s := e.conn.current()
	switch {
	case s == nil:
	case how == tls12.AlertEnd:
		e.cache.remove(s, CauseAlert)
	case how == tls12.UncleanEnd && e.cache.uncleanClose == UncleanCloseRemove:
		e.cache.remove(s, CauseUncleanClose)
	}
}
