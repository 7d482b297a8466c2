package halfshake

import (
	"crypto/tls"
	"crypto/x509"
	"errors"

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
// good for, and if Config.SessionIDs is set, which needs [Cache.NewListener] or
// [Cache.Server]; the table in the package's documentation has what else only these
// can do. The clone always has a GetConfigForClient, so net/http does not miss a
// certificate before the first handshake.
func (c *Cache) ServerConfig(base *tls.Config) (*tls.Config, error) {
	p, err := c.checkConfig(base)
	if err != nil {
		return nil, err
	}
	if c.cfg.SessionIDs != SessionIDsOff {
		return nil, errors.New("halfshake: Config.SessionIDs cannot be served through a tls.Config; use NewListener or Server, or leave it SessionIDsOff")
	}
	return c.hooked(base, p, sharedHandshakes{c}, false), nil
}

// sharedHandshakes are those of a configuration that serves many connections at once.
type sharedHandshakes struct{ cache *Cache }

func (s sharedHandshakes) begin(hello *tls.ClientHelloInfo) {
	if k, ok := nameKey(hello.ServerName); ok {
		h := s.cache.newHandshake(policy{})
		h.begin(hello.Context(), hello.Conn, nil) // not a list of 64 kB, for a handshake that fails
		h.info.ServerName = hello.ServerName
		s.cache.join.put(k, &sharedHandshake{handshake: h})
	}
}

// find makes a handshake where none is remembered. Without a server name, the up to
// five identities of a TLS 1.3 ClientHello cannot be told to be of one handshake.
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
		if h := j.take(j.secretKey(secret())); h != nil {
			return h
		}
	}
	h := &sharedHandshake{handshake: s.cache.newHandshake(policy{})}
	if h.info.ServerName = cs.ServerName; named { // after a HelloRetryRequest
		j.put(k, h)
	}
	return h
}

// A sharedHandshake is one of them. Its engine never shows the client's Finished:
// what it does not show, another event has to imply.
type sharedHandshake struct {
	*handshake
	certificates       []*x509.Certificate // of the session that is being resumed
	wasTicketed, wasOK bool                // the hooks that have been called
}

func (h *sharedHandshake) events() *handshake { return h.handshake }

// proposed remembers the handshake by what of the session the later hooks are shown.
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

// ticketed gives the session that was made what its ticket implies: in TLS 1.2 a full
// handshake is complete but for the server's Finished; in QUIC a ticket comes after
// the handshake; and a client certificate has proved itself with a signature over
// this very handshake.
func (h *sharedHandshake) ticketed(cs tls.ConnectionState) {
	full12 := cs.Version < tls.VersionTLS13 && !cs.DidResume
	signed := cs.Version >= tls.VersionTLS13 && !cs.DidResume && len(cs.PeerCertificates) > 0
	switch issued := h.issued.Load(); {
	case cs.HandshakeComplete || full12 || signed:
		h.proved(cs.DidResume)
	case issued != nil && cs.DidResume && h.vouched():
		// Nothing here will say that this client is alive. A ClientHello that was
		// recorded and is played again gets one such session at the most.
		h.cache.internal.Promote(sessionEntry{issued})
	}
	h.wasTicketed = true
	h.finish()
}

func (h *sharedHandshake) agreed(resumed bool) {
	if resumed { // in TLS 1.3 with an accepted binder; in TLS 1.2 a ticket comes last of all
		h.parentInUse()
		h.orphaned()
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
