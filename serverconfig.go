package halfshake

import (
	"crypto/tls"
	"crypto/x509"
	"errors"

	"github.com/halfshake/halfshake/internal/sessioncache"
	"github.com/halfshake/halfshake/internal/sessionstate"
)

// ServerConfig returns a clone of base whose sessions live in the cache. It is for
// net/http, gRPC, quic-go and everything else that takes a *tls.Config.
//
// If base has a GetConfigForClient, the configurations that it returns use the cache
// too, each under its own policy. A returned configuration that sets WrapSession or
// UnwrapSession itself is left unchanged, and nothing resumes under one that sets
// SessionTicketsDisabled.
//
// The cache uses base as it is now. To change ClientAuth, ClientCAs or CipherSuites
// later, change base and call ServerConfig again, or return another configuration from
// GetConfigForClient.
//
// ServerConfig returns an error if nothing could resume under base, or if base asks for
// client certificates while neither Config.Scope nor Config.TrustID names what they are
// good for. It also returns an error if Config.SessionIDs is set, which needs
// [Cache.NewListener] or [Cache.Server]. The table in the package documentation shows
// what else only these two can do.
//
// The clone always has a GetConfigForClient, so net/http does not report a missing
// certificate before the first handshake.
func (c *Cache) ServerConfig(base *tls.Config) (*tls.Config, error) {
	p, err := c.checkConfig(base)
	if err != nil {
		return nil, err
	}
	if c.cfg.SessionIDs != SessionIDsOff {
		return nil, errors.New("halfshake: Config.SessionIDs does not work through a tls.Config; use NewListener or Server, or set SessionIDsOff")
	}
	return c.hooked(base, p, sharedHandshakes{c}, false), nil
}

// sharedHandshakes finds the handshakes of a configuration that serves many connections
// at once.
type sharedHandshakes struct{ cache *Cache }

func (s sharedHandshakes) begin(hello *tls.ClientHelloInfo) {
	if k, ok := nameKey(hello.ServerName); ok {
		h := s.cache.newHandshake(policy{})
		h.begin(hello.Context(), hello.Conn, nil) // do not keep a list of up to 64 kB if the handshake fails
		h.info.ServerName = hello.ServerName
		s.cache.join.put(k, &sharedHandshake{handshake: h})
	}
}

// find makes a handshake if none is remembered. Without a server name it cannot tell that
// the identities of a TLS 1.3 ClientHello, up to five, belong to one handshake.
func (s sharedHandshakes) find(cs tls.ConnectionState, secret func() []byte) hookedHandshake {
	j := s.cache.join
	k, named := nameKey(cs.ServerName)
	if named {
		if h := j.get(k); h != nil {
			return h
		}
	} else if k, ok := certificatesKey(cs.PeerCertificates); ok {
		if h := j.get(k); h != nil {
			return h
		}
	} else if secret != nil && cs.DidResume && cs.Version < tls.VersionTLS13 {
		if other := j.take(j.secretKey(secret())); other != nil {
			// It may be another handshake that resumes the same session at the same time.
			h := &sharedHandshake{handshake: s.cache.newHandshake(policy{})}
			h.handshake.proposed, h.asked, h.parent = true, other.asked, other.parent
			return h
		}
	}
	h := &sharedHandshake{handshake: s.cache.newHandshake(policy{})}
	if h.info.ServerName = cs.ServerName; named { // after a HelloRetryRequest
		j.put(k, h)
	}
	return h
}

// A sharedHandshake is one of them. crypto/tls does not show it the client's Finished, so
// other events have to imply it.
type sharedHandshake struct {
	*handshake
	certificates       []*x509.Certificate // of the session that is being resumed
	wasTicketed, wasOK bool                // whether ticketed and agreed were called
}

func (h *sharedHandshake) events() *handshake { return h.handshake }

// proposed remembers the handshake by the parts of the session that later hooks see.
func (h *sharedHandshake) proposed(f *found, ss *tls.SessionState) {
	h.parent = h.parent.withoutSecret() // a handshake that fails is remembered for a while
	if _, named := nameKey(h.info.ServerName); named {
		return
	}
	j := h.cache.join
	h.certificates = sessionstate.PeerCertificatesOf(ss)
	if k, ok := certificatesKey(h.certificates); ok {
		j.put(k, h)
	} else if f.version < tls.VersionTLS13 {
		j.put(j.secretKey(f.state.Secret), h)
	}
}

// ticketed records what a ticket implies. In TLS 1.2, only the server's Finished is
// missing when a full handshake sends its ticket. In QUIC, a ticket comes after the
// handshake. In a full handshake of TLS 1.3, a client with a certificate has already
// signed this very handshake.
func (h *sharedHandshake) ticketed(cs tls.ConnectionState) {
	full12 := cs.Version < tls.VersionTLS13 && !cs.DidResume
	signed := cs.Version >= tls.VersionTLS13 && !cs.DidResume && len(cs.PeerCertificates) > 0
	switch issued := h.issued.Load(); {
	case cs.HandshakeComplete || full12 || signed:
		h.proved(cs.DidResume)
	case issued != nil && cs.DidResume && h.vouched():
		// No later event will prove that the client is live. A replayed ClientHello
		// gets at most one such session.
		h.cache.internal.Promote(sessionEntry{issued}, sessioncache.Used)
	}
	h.wasTicketed = true
	h.finish()
}

func (h *sharedHandshake) agreed(resumed bool) {
	if resumed { // in TLS 1.3 with an accepted binder; in TLS 1.2 a ticket comes last of all
		h.parentInUse()
		h.orphaned(h.removing)
	}
	h.counted(resumed)
	h.logHandshake(resumed)
	h.wasOK = true
	h.finish()
}

// finish forgets a handshake whose last hook was called.
func (h *sharedHandshake) finish() {
	if !h.wasTicketed || !h.wasOK {
		return
	}
	if k, ok := nameKey(h.info.ServerName); ok {
		h.cache.join.drop(k)
	} else if k, ok := certificatesKey(h.certificates); ok {
		h.cache.join.drop(k)
	}
}
