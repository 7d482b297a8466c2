package halfshake

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/halfshake/halfshake/tls12"
)

// An engineChoice says which engine serves a connection, by its ClientHello.
type engineChoice struct {
	cache  *Cache
	policy policy      // of a configuration that nobody changes
	reader *tls.Config // for withHello, where the application asks; see asks
}

func (c *Cache) newEngineChoice(p policy) engineChoice {
	e := engineChoice{cache: c, policy: p}
	if e.asks() {
		e.reader = helloReader(p.config)
	}
	return e
}

// A servedConn is a server's connection of either engine.
type servedConn interface {
	net.Conn
	HandshakeContext(context.Context) error
	CloseWrite() error
	ConnectionState() tls.ConnectionState
}

// open chooses for a connection of which data has been read, and comes again; hello is
// the ClientHello in it. Where there is none, or a malformed one, crypto/tls is to refuse
// it.
func (e engineChoice) open(ctx context.Context, t *transport, data, hello []byte) (conn servedConn) {
	switch {
	case hello == nil:
	case e.asks():
		if withHello(ctx, data, e.reader, t, func(hello *tls.ClientHelloInfo) { conn = e.openFor(hello, t) }) {
			return conn
		}
	default:
		if info := tls12.HelloInfo(hello); info != nil {
			conn = e.open12(info, nil, t)
		}
		if conn != nil {
			return conn
		}
	}
	return e.cache.cryptoTLS(e.policy, t)
}

// asks reports whether only crypto/tls can tell what is in force for a client: it makes
// the ClientHelloInfo that the application has to see, and decrypts a ClientHello.
func (e engineChoice) asks() bool {
	config := e.policy.config
	return config.GetConfigForClient != nil || config.GetEncryptedClientHelloKeys != nil || config.EncryptedClientHelloKeys != nil
}

// cryptoTLS serves a connection where there is no choice.
func (c *Cache) cryptoTLS(p policy, t *transport) servedConn {
	config := c.hooked(p.config, p, oneHandshake{t.handshake}, c.resumesNothing())
	if t.handshake.exact {
		return tls.Server(t, config)
	}
	return tls.Server(&watchedTransport{transport: t}, config)
}

// openFor asks the application's GetConfigForClient, once, and serves the client
// with what it says. A panic of its ends the connection, not the process, as in a
// handshake under net/http.
func (e engineChoice) openFor(hello *tls.ClientHelloInfo, t *transport) servedConn {
	var chosen *tls.Config
	var failed error
	if e.policy.config.GetConfigForClient != nil {
		failed = recovered(func() (err error) {
			chosen, err = e.policy.config.GetConfigForClient(hello)
			return err
		})
	}
	if failed == nil {
		if conn := e.open12(hello, chosen, t); conn != nil {
			return conn
		}
	}
	answered := e.policy
	answered.config = answered.config.Clone()
	answered.config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return chosen, failed }
	return e.cache.cryptoTLS(answered, t)
}

// open12 returns a connection of package tls12, or nil if crypto/tls is to serve.
func (e engineChoice) open12(hello *tls.ClientHelloInfo, chosen *tls.Config, t *transport) servedConn {
	p := e.policy
	if chosen != nil {
		p = e.cache.policyOf(chosen)
	}
	if !e.cache.cfg.SessionIDs.takes(hello, p.config) {
		return nil
	}
	t.handshake.policy, t.handshake.exact = p, true
	conn, err := tls12.Server(t, p.config, engine12{t.handshake})
	if err != nil {
		return nil
	}
	e.cache.counters.accept.Add(1)
	return conn
}
