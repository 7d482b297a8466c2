package halfshake

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/halfshake/halfshake/internal/sessionstate"
)

// ServerConfig returns a clone of base whose sessions live in the cache; it is
// for net/http, gRPC, quic-go: whatever takes a *tls.Config. A GetConfigForClient
// in base goes on to work, and the configurations that it returns use the cache
// too, each under its own policy; one that sets WrapSession or UnwrapSession
// itself is left as it is, and nothing resumes under one that sets
// SessionTicketsDisabled.
//
// The policy is that of base as it is now: to change ClientAuth, ClientCAs or
// CipherSuites later, change base and call ServerConfig again, or return another
// configuration from GetConfigForClient.
//
// It is an error if nothing could resume under base, if it asks for client
// certificates while neither Config.Scope nor Config.TrustID names what they are
// good for, and if Config.MaxLineageAge is set and base allows TLS 1.3; see the
// table in the package's documentation for what only [Cache.NewListener] and
// [Cache.Server] can do. The clone always has a GetConfigForClient, so net/http
// does not miss a certificate before the first handshake.
func (c *Cache) ServerConfig(base *tls.Config) (*tls.Config, error) {
	p, err := c.checkConfig(base)
	if err != nil {
		return nil, err
	}
	if c.maxChainAge > 0 && (base.MaxVersion == 0 || base.MaxVersion >= tls.VersionTLS13) {
		return nil, errors.New("halfshake: Config.MaxLineageAge cannot be held in TLS 1.3 by a tls.Config alone; use NewListener or Server, or set the tls.Config's MaxVersion to TLS 1.2")
	}
	return c.hooked(base, p, nil), nil
}

// hooked returns a clone of base, whose policy is p, with the cache's hooks. conn
// is nil if the clone serves many connections.
func (c *Cache) hooked(base *tls.Config, p policy, conn *connState) *tls.Config {
	choose := base.GetConfigForClient
	clone := c.installHooks(base, p, conn)
	clone.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		c.counters.accept.Add(1)
		if conn != nil {
			conn.saw(hello)
		}
		if choose == nil {
			return nil, nil
		}
		chosen, err := choose(hello)
		if err != nil || chosen == nil || chosen.WrapSession != nil || chosen.UnwrapSession != nil {
			return chosen, err
		}
		return c.installHooks(chosen, c.policyOf(chosen), conn), nil
	}
	return clone
}

// installHooks returns a clone of config with hooks for its policy p.
func (c *Cache) installHooks(config *tls.Config, p policy, conn *connState) *tls.Config {
	clone := config.Clone()
	p.config = clone // whatever the application does to its own later
	h := &serverHooks{cache: c, policy: p, conn: conn, verifyNext: config.VerifyConnection}
	clone.UnwrapSession, clone.WrapSession, clone.VerifyConnection = h.unwrap, h.wrap, h.verify
	return clone
}

// serverHooks are what crypto/tls calls in a server's handshake.
type serverHooks struct {
	cache      *Cache
	policy     policy
	verifyNext func(tls.ConnectionState) error // the application's; may be nil

	// conn is nil where the hooks are shared by many connections.
	conn *connState
}

// unwrap is [tls.Config.UnwrapSession]: it turns what the client offers into a
// session. It never returns an error, which would end the connection. crypto/tls
// may still refuse what it returns.
func (h *serverHooks) unwrap(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
	if len(identity) == 0 { // TLS 1.2, and no ticket
		return nil, nil
	}
	p := proposal{ctx: h.cache.ctx, info: h.info(cs), policy: h.policy, id: identity, suite: cs.CipherSuite}
	if h.conn != nil {
		p.ctx, p.offered = h.conn.ctx, h.conn.offered
	}
	if !validID(identity) {
		h.cache.explain(p, "the id is not one of ours")
		return nil, nil
	}
	if h.conn != nil && !h.conn.propose() {
		return nil, nil
	}
	s, internal := h.cache.lookup(p)
	if s == nil {
		return nil, nil
	}
	ss, err := sessionstate.Resumable(s.state)
	if err != nil {
		h.cache.undecodable(p, s, internal)
		return nil, nil
	}
	h.handedOut(s, cs.Version)
	return ss, nil
}

// handedOut keeps what wrap and verify have to know of the session that unwrap
// gave to crypto/tls.
func (h *serverHooks) handedOut(s *Session, version uint16) {
	switch {
	case h.conn != nil:
		h.conn.candidate = s
	case version == tls.VersionTLS12:
		// A copy of the id: the session's own is in one piece of memory with
		// the secret, which a flight that never lands must not keep.
		h.cache.inFlight.put(secretOf(s.state), strings.Clone(s.id))
	case h.cache.internal.Vouch(sessionEntry{s}):
		h.cache.vouchers.Add(1)
	}
}

// bornProved reports whether the session of a resumed TLS 1.3 handshake goes into
// the proved part of the internal cache. Where the client's Finished is awaited,
// it does. Elsewhere only the binder has been checked, which a ClientHello that
// was recorded and is played again has too: so each session vouches for one
// child, and under ServerConfig, where the parent is not known, for as many as
// there were parents.
func (h *serverHooks) bornProved() bool {
	if h.conn == nil {
		return takeOne(&h.cache.vouchers)
	}
	return h.conn.atCompletion || h.cache.internal.Vouch(sessionEntry{h.conn.candidate})
}

// takeOne takes one off n, if there is one.
func takeOne(n *atomic.Int64) bool {
	for {
		have := n.Load()
		if have <= 0 {
			return false
		}
		if n.CompareAndSwap(have, have-1) {
			return true
		}
	}
}

// wrap is [tls.Config.WrapSession]: it answers with the id of the session that
// was made. It never returns an error or an empty id: where nothing is stored,
// the id is random, and nobody's.
func (h *serverHooks) wrap(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
	state, err := ss.Bytes()
	if err != nil {
		return randomID(), nil
	}
	if cs.DidResume && cs.Version < tls.VersionTLS13 {
		return h.sameID(state), nil
	}
	e := established{info: h.info(cs), policy: h.policy, state: state}
	if cs.DidResume && h.conn != nil {
		e.parent = h.conn.candidate
	}
	if cs.DidResume && e.parent == nil && h.cache.maxChainAge > 0 { // a chain of unknown age ends here
		h.cache.counters.refuse(RefusedLineageAge)
		return randomID(), nil
	}
	s := h.cache.newSession(e)
	if s == nil {
		return randomID(), nil
	}
	proved := cs.DidResume && h.bornProved()
	if h.conn == nil {
		h.cache.establish(h.cache.ctx, e.info, s, proved)
	} else {
		h.conn.issue(h.cache, e.info, s, proved)
	}
	return s.ID(), nil
}

// sameID answers a TLS 1.2 resumption, which issues a ticket for the same master
// secret again: the session keeps its id.
func (h *serverHooks) sameID(state []byte) []byte {
	if h.conn != nil {
		if h.conn.candidate == nil {
			return randomID()
		}
		return h.conn.candidate.ID()
	}
	id := h.cache.inFlight.take(secretOf(state))
	if id == "" {
		return randomID()
	}
	if e, ok := h.cache.internal.Get(id); ok {
		h.cache.confirm(e.Session)
	}
	return []byte(id)
}

// verify is [tls.Config.VerifyConnection], after the application's own. crypto/tls
// calls it once for each handshake, before the client's Finished is read; wrap
// comes after it in TLS 1.2, and in TLS 1.3 where a client certificate was asked
// for and nothing resumed.
func (h *serverHooks) verify(cs tls.ConnectionState) error {
	if h.verifyNext != nil {
		if err := h.verifyNext(cs); err != nil {
			if h.conn != nil {
				h.conn.disagreed(h.cache)
			}
			return err
		}
	}
	if h.conn != nil {
		h.conn.agreed(h.cache, cs)
		return nil
	}
	h.cache.completed(cs.DidResume)
	h.cache.logHandshake(h.cache.ctx, h.info(cs), cs.DidResume)
	return nil
}

func (h *serverHooks) info(cs tls.ConnectionState) ConnInfo {
	info := ConnInfo{ServerName: cs.ServerName, ALPN: cs.NegotiatedProtocol, Version: cs.Version}
	if h.conn != nil {
		info.RemoteAddr, info.LocalAddr = h.conn.RemoteAddr(), h.conn.LocalAddr()
	}
	return info
}

// secretOf returns the secret in a crypto/tls session, nil if it does not parse.
func secretOf(state []byte) []byte {
	st, err := sessionstate.Parse(state)
	if err != nil {
		return nil
	}
	return st.Secret
}

// logHandshake logs how a handshake went; why a session that was offered did not
// resume is in a line before.
func (c *Cache) logHandshake(ctx context.Context, info ConnInfo, resumed bool, more ...slog.Attr) {
	if c.log == nil || !c.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	c.log.LogAttrs(ctx, slog.LevelDebug, "handshake", append([]slog.Attr{slog.Bool("resumed", resumed),
		slog.String("version", versionName(info.Version)), slog.String("server_name", info.ServerName), addrAttr(info.RemoteAddr)}, more...)...)
}
