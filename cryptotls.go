package halfshake

import (
	"context"
	"crypto/tls"

	"github.com/halfshake/halfshake/internal/keylog"
	"github.com/halfshake/halfshake/internal/sessionstate"
)

// cryptoTLSHooks are the functions that crypto/tls calls in a server's handshake under
// one configuration. They translate its hooks to the events of a handshake.
type cryptoTLSHooks struct {
	cache      *Cache
	policy     policy
	verifyNext func(tls.ConnectionState) error // the application's; may be nil
	handshakes handshakes
}

// handshakes finds the handshake that a hook is called for, because crypto/tls does not
// pass it. See oneHandshake and sharedHandshakes.
type handshakes interface {
	// begin is called for each ClientHello.
	begin(hello *tls.ClientHelloInfo)
	// find returns the handshake with the state cs. secret returns the secret of the
	// session that was made; it is nil if none was made.
	find(cs tls.ConnectionState, secret func() []byte) hookedHandshake
}

// A hookedHandshake receives what the hooks report beyond the five events of a
// handshake.
type hookedHandshake interface {
	events() *handshake
	// proposed is called with the session that the look-up found and with its form for
	// crypto/tls.
	proposed(*found, *tls.SessionState)
	// ticketed is called after a ticket was made.
	ticketed(tls.ConnectionState)
	// agreed is called after VerifyConnection has agreed.
	agreed(resumed bool)
}

// hooked returns a clone of base with the cache's hooks. p is base's policy.
func (c *Cache) hooked(base *tls.Config, p policy, hs handshakes, ticketless bool) *tls.Config {
	choose := base.GetConfigForClient
	clone := c.installHooks(base, p, hs)
	clone.SessionTicketsDisabled = ticketless
	clone.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		c.counters.accept.Add(1)
		hs.begin(hello)
		if choose == nil {
			return nil, nil
		}
		chosen, err := choose(hello)
		if err != nil || chosen == nil || chosen.WrapSession != nil || chosen.UnwrapSession != nil {
			return chosen, err
		}
		own := c.installHooks(chosen, c.policyOf(chosen), hs)
		own.SessionTicketsDisabled = own.SessionTicketsDisabled || ticketless
		return own, nil
	}
	return clone
}

// installHooks returns a clone of config with hooks for its policy p.
func (c *Cache) installHooks(config *tls.Config, p policy, hs handshakes) *tls.Config {
	clone := config.Clone()
	p.config = clone // the application may change its own later
	k := &cryptoTLSHooks{cache: c, policy: p, verifyNext: config.VerifyConnection, handshakes: hs}
	clone.UnwrapSession, clone.WrapSession, clone.VerifyConnection = k.unwrap, k.wrap, k.verify
	clone.KeyLogWriter = keylog.Writer(config.KeyLogWriter) // which package tls12 may write to as well
	return clone
}

// at returns the handshake that a hook is called for, updated with what crypto/tls has
// negotiated so far.
func (k *cryptoTLSHooks) at(cs tls.ConnectionState, secret func() []byte) (hookedHandshake, *handshake) {
	hooked := k.handshakes.find(cs, secret)
	h := hooked.events()
	h.policy = k.policy
	h.negotiated(cs.ServerName, cs.NegotiatedProtocol, cs.Version)
	return hooked, h
}

// unwrap is [tls.Config.UnwrapSession]: it returns the session for the identity that the
// client offers. It never returns an error, because that would end the connection.
// crypto/tls may still refuse the session.
func (k *cryptoTLSHooks) unwrap(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
	if len(identity) == 0 { // TLS 1.2, and no ticket
		return nil, nil
	}
	hooked, h := k.at(cs, nil)
	f := h.propose(identity, cs.CipherSuite)
	if f == nil {
		return nil, nil
	}
	ss, err := sessionstate.Resumable(f.Session.state, h.taken)
	if err != nil {
		h.undecodable(f)
		return nil, nil
	}
	hooked.proposed(f, ss)
	return ss, nil
}

// wrap is [tls.Config.WrapSession]: it returns the id of the session that was made. It
// never returns an error or an empty id: if nothing is stored, it returns a random id
// that belongs to no session.
func (k *cryptoTLSHooks) wrap(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
	state, err := ss.Bytes()
	if err != nil {
		return randomID(), nil
	}
	hooked, h := k.at(cs, func() []byte { return secretOf(state) })
	defer hooked.ticketed(cs)
	if cs.HandshakeComplete { // in QUIC, where the handshake's context has ended
		h.ctx = context.WithoutCancel(h.ctx)
	}
	switch {
	case cs.DidResume && cs.Version < tls.VersionTLS13:
		// A TLS 1.2 resumption issues a ticket for the same master secret again: the
		// session keeps its id.
		if h.parent != nil {
			return h.parent.ID(), nil
		}
	default:
		if s := h.made(state, nil, cs.DidResume); s != nil {
			return s.ID(), nil
		}
	}
	return randomID(), nil
}

// verify is [tls.Config.VerifyConnection]. It calls the application's own first.
// crypto/tls calls it once for each handshake, before it reads the client's Finished.
// wrap is called after verify in TLS 1.2, and in a full handshake of TLS 1.3 that asked
// for a client certificate.
func (k *cryptoTLSHooks) verify(cs tls.ConnectionState) error {
	hooked, h := k.at(cs, nil)
	if k.verifyNext != nil {
		if err := k.verifyNext(cs); err != nil {
			h.disagreed()
			return err
		}
	}
	hooked.agreed(cs.DidResume)
	return nil
}

// secretOf returns the secret in a crypto/tls session, or nil if it does not parse.
func secretOf(state []byte) []byte {
	st, err := sessionstate.Parse(state)
	if err != nil {
		return nil
	}
	return st.Secret
}

// oneHandshake is the handshake under a configuration that serves a single connection.
// The engine or the transport says when the handshake is complete.
type oneHandshake struct{ *handshake }

func (o oneHandshake) begin(hello *tls.ClientHelloInfo) {
	o.handshake.begin(hello.Context(), hello.Conn, hello.CipherSuites)
}

func (o oneHandshake) find(tls.ConnectionState, func() []byte) hookedHandshake { return o }
func (o oneHandshake) events() *handshake                                      { return o.handshake }
func (o oneHandshake) proposed(*found, *tls.SessionState)                      {}
func (o oneHandshake) ticketed(tls.ConnectionState)                            {}

func (o oneHandshake) agreed(resumed bool) {
	o.offered, o.verified, o.resuming, o.at = nil, true, resumed, o.cache.now()
	if resumed {
		o.resumed.Store(o.parent)
		o.orphaned(o.removing)
	}
	if !o.exact {
		o.logHandshake(resumed)
	}
}
