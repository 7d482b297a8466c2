package halfshake

import (
	"crypto/tls"
	"errors"
	"net"
)

// NewListener returns a listener whose connections use the cache: Accept returns
// a *tls.Conn, so that net/http speaks HTTP/2 over it, or a *tls12.Conn for those
// clients that Config.SessionIDs names. Errors are those of [Cache.ServerConfig],
// but for SessionIDs.
//
// With SessionIDs set, the ClientHello of each connection is read before Accept
// returns it, in a bounded number of goroutines, which end with the listener. A
// GetConfigForClient then runs there, and its hello's context ends when it returns;
// GetEncryptedClientHelloKeys is asked there and again in the handshake.
//
// Closing the listener closes inner, and no connection. The NetConn of a
// connection, and the Conn that a GetConfigForClient sees, is one of the cache's;
// its own NetConn method returns the one that inner accepted.
func (c *Cache) NewListener(inner net.Listener, config *tls.Config) (net.Listener, error) {
	if inner == nil {
		return nil, errors.New("halfshake: the net.Listener is nil")
	}
	p, err := c.checkConfig(config)
	if err != nil {
		return nil, err
	}
	if c.cfg.SessionIDs != SessionIDsOff {
		return newHelloListener(inner, c, p), nil
	}
	return &listener{Listener: inner, cache: c, policy: p}, nil
}

type listener struct {
	net.Listener
	cache  *Cache
	policy policy
}

// Accept returns the next connection; its handshake has not begun.
func (l *listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.cache.cryptoTLS(l.policy, l.cache.newTransport(raw, l.policy, false)), nil
}
