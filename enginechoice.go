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
	config *tls.Config
	policy policy
}

// A servedConn is a server's connection of either engine.
type servedConn interface {
	net.Conn
	HandshakeContext(context.Context) error
	CloseWrite() error
	ConnectionState() tls.ConnectionState
}

// open chooses for a connection of which data has been read, and comes again. What
// is not a ClientHello is crypto/tls's to refuse.
func (e engineChoice) open(ctx context.Context, state *connState, data []byte, whole bool) (conn servedConn) {
	if whole && withHello(ctx, data, e.config, state, func(hello *tls.ClientHelloInfo) { conn = e.openFor(hello, state) }) {
		return conn
	}
	return e.cryptoTLS(state)
}

// cryptoTLS is the choice where there is none.
func (e engineChoice) cryptoTLS(state *connState) servedConn {
	return tls.Server(state, e.cache.hooked(e.config, e.policy, state))
}

// openFor asks the application's GetConfigForClient, once, and serves the client
// with what it says. A panic of its ends the connection, not the process, as in a
// handshake under net/http.
func (e engineChoice) openFor(hello *tls.ClientHelloInfo, state *connState) servedConn {
	var chosen *tls.Config
	var failed error
	if e.config.GetConfigForClient != nil {
		failed = guard("GetConfigForClient", func() (err error) {
			chosen, err = e.config.GetConfigForClient(hello)
			return err
		})
	}
	if failed == nil {
		if conn := e.open12(hello, chosen, state); conn != nil {
			return conn
		}
	}
	answered := e.config.Clone()
	answered.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return chosen, failed }
	return tls.Server(state, e.cache.hooked(answered, e.policy, state))
}

// open12 returns a connection of package tls12, or nil if crypto/tls is to serve.
func (e engineChoice) open12(hello *tls.ClientHelloInfo, chosen *tls.Config, state *connState) servedConn {
	config, p := e.config, e.policy
	if chosen != nil {
		config, p = chosen, e.cache.policyOf(chosen)
	}
	if !e.cache.sessionIDs.takes(hello, config) {
		return nil
	}
	p.config = config.Clone() // whatever the application does to its own later
	conn, err := tls12.Server(state, p.config, &engine12{cache: e.cache, policy: p, conn: state})
	if err != nil {
		return nil
	}
	e.cache.counters.accept.Add(1)
	return conn
}
