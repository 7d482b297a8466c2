package halfshake

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"

	"github.com/halfshake/halfshake/tls12"
)

// SessionIDs says for which clients a [Cache.NewListener] or [Cache.Server] resumes
// TLS 1.2 by session id, which crypto/tls cannot do. Package tls12 serves these
// clients, and the listener's Accept returns a *tls12.Conn for them. crypto/tls still
// serves clients that speak TLS 1.3 or HTTP/2, and those whose handshake package tls12
// does not support as well.
type SessionIDs uint8

const (
	// SessionIDsOff never resumes by session id. The listener does not read ahead.
	SessionIDsOff SessionIDs = iota
	// SessionIDsTicketless resumes by session id for clients that do not support
	// tickets, and so could not resume in any other way.
	SessionIDsTicketless
	// SessionIDsAlways resumes by session id for all clients, even those that support
	// tickets.
	SessionIDsAlways
)

// An engineChoice chooses the engine for a connection from its ClientHello.
type engineChoice struct {
	cache  *Cache
	policy policy      // its configuration never changes
	reader *tls.Config // for withHello; nil unless asks
}

func (c *Cache) newEngineChoice(p policy) engineChoice {
	e := engineChoice{cache: c, policy: p.kept()}
	if e.asks() {
		e.reader = helloReader(p.config)
	}
	return e
}

// A servedConn is the server side of a connection, with either engine.
type servedConn interface {
	net.Conn
	HandshakeContext(context.Context) error
	CloseWrite() error
	ConnectionState() tls.ConnectionState
}

// open returns the connection of the engine that is to serve the client. data has been
// read from it, and t reads it again; hello is the ClientHello in data. If there is
// none, or a malformed one, crypto/tls refuses the client. The application sees ctx.
func (e engineChoice) open(ctx context.Context, t *transport, data, hello []byte) (conn servedConn) {
	info := helloInfo(hello)
	switch {
	case info == nil || !e.cache.cfg.SessionIDs.wants(info): // whatever the configuration
	case e.asks():
		if withHello(ctx, data, e.reader, t, func(hello *tls.ClientHelloInfo) { conn = e.openFor(ctx, hello, t) }) {
			return conn
		}
	default:
		if conn, ok := e.open12(ctx, info, e.policy, t); ok {
			return conn
		}
	}
	return e.cache.cryptoTLS(e.policy, t)
}

// helloInfo parses a ClientHello. It returns nil if there is none or if it is malformed.
func helloInfo(hello []byte) *tls.ClientHelloInfo {
	if hello == nil {
		return nil
	}
	return tls12.HelloInfo(hello)
}

// asks reports whether only crypto/tls can find out which configuration is in force for
// a client, because the application needs a ClientHelloInfo or the ClientHello may be
// encrypted.
func (e engineChoice) asks() bool {
	config := e.policy.config
	return config.GetConfigForClient != nil || config.GetEncryptedClientHelloKeys != nil || config.EncryptedClientHelloKeys != nil
}

// cryptoTLS serves a connection with crypto/tls.
func (c *Cache) cryptoTLS(p policy, t *transport) servedConn {
	config := c.hooked(p.config, p, oneHandshake{t.handshake}, c.resumesNothing())
	if t.handshake.exact {
		return tls.Server(t, config)
	}
	return tls.Server(&watchedTransport{transport: t}, config)
}

// openFor serves the client of hello under the configuration that the application's
// GetConfigForClient returns for it. If there is none, crypto/tls ends the connection.
func (e engineChoice) openFor(ctx context.Context, hello *tls.ClientHelloInfo, t *transport) servedConn {
	chosen, failed := e.configFor(ctx, hello)
	if failed == nil {
		p := e.policy
		if chosen != nil {
			p = e.cache.policyOf(chosen)
		}
		if conn, ok := e.open12(ctx, hello, p, t); ok {
			return conn
		}
	}
	answered := e.policy
	answered.config = answered.config.Clone()
	answered.config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return chosen, failed }
	return e.cache.cryptoTLS(answered, t)
}

// configFor calls the application's GetConfigForClient, once. A panic ends the
// connection, not the process, as in a handshake under net/http.
func (e engineChoice) configFor(ctx context.Context, hello *tls.ClientHelloInfo) (chosen *tls.Config, err error) {
	if ask := e.policy.config.GetConfigForClient; ask != nil && !givenUp(ctx) {
		err = recovered(func() (err error) { chosen, err = ask(hello); return err })
	}
	if err == nil && givenUp(ctx) {
		err = context.Canceled
	}
	return chosen, err
}

// givenUp reports whether a connection was given up while its engine was chosen, as
// a listener's are by its Close. The application is then asked nothing more about it.
// That it took its time is no reason: it may.
func givenUp(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

// open12 returns a connection of package tls12, unless crypto/tls is to serve the
// client.
func (e engineChoice) open12(ctx context.Context, hello *tls.ClientHelloInfo, p policy, t *transport) (servedConn, bool) {
	if givenUp(ctx) || !e.cache.cfg.SessionIDs.takes(hello, p.config) {
		return nil, false
	}
	p = p.kept()
	conn, err := tls12.Server(t, p.config, engine12{t.handshake})
	if err != nil {
		return nil, false
	}
	t.handshake.policy, t.handshake.exact = p, true
	e.cache.counters.accept.Add(1)
	return conn, true
}

// wants reports whether the client of hello is one that should resume by session id, if
// the configuration allows it. A client whose ClientHello is encrypted speaks TLS 1.3, so
// the outer ClientHello suffices here (RFC 9849 section 5).
func (s SessionIDs) wants(hello *tls.ClientHelloInfo) bool {
	const sessionTicket = 35 // RFC 5077 section 3.2
	return s == SessionIDsAlways ||
		s == SessionIDsTicketless && !slices.Contains(hello.Extensions, sessionTicket)
}

// takes reports whether package tls12 serves the client of hello. config is the
// configuration in force for that client.
func (s SessionIDs) takes(hello *tls.ClientHelloInfo, config *tls.Config) bool {
	return s.wants(hello) && !config.SessionTicketsDisabled &&
		wouldSpeakTLS12(hello, config) &&
		!wouldSpeakHTTP2(hello, config) &&
		tls12.Suits(config, hello)
}

// wouldSpeakTLS12 reports whether TLS 1.2 is the highest version that both sides support.
func wouldSpeakTLS12(hello *tls.ClientHelloInfo, config *tls.Config) bool {
	has13 := slices.Contains(hello.SupportedVersions, tls.VersionTLS13) &&
		config.MinVersion <= tls.VersionTLS13 && (config.MaxVersion == 0 || config.MaxVersion >= tls.VersionTLS13)
	return !has13 && slices.Contains(hello.SupportedVersions, tls.VersionTLS12)
}

// wouldSpeakHTTP2 reports whether ALPN would choose h2, which net/http speaks only over
// a *tls.Conn. ALPN chooses the first of the server's protocols that the client offers.
func wouldSpeakHTTP2(hello *tls.ClientHelloInfo, config *tls.Config) bool {
	for _, protocol := range config.NextProtos {
		if slices.Contains(hello.SupportedProtos, protocol) {
			return protocol == "h2"
		}
	}
	return false
}

// errHelloRead ends the throwaway handshake of withHello.
var errHelloRead = errors.New("halfshake: the ClientHello has been read")

// withHello has crypto/tls parse the bytes of a ClientHello, calls use with the result,
// and reports whether they parsed. reader comes from helloReader. A throwaway tls.Server
// reads the bytes from a connection that goes nowhere. It is still running when use is
// called, so that the hello's context and methods work, and stops afterwards.
func withHello(ctx context.Context, data []byte, reader *tls.Config, conn net.Conn, use func(*tls.ClientHelloInfo)) (read bool) {
	throwaway := &helloConn{replayed{Conn: conn, data: data, ends: true}, func(hello *tls.ClientHelloInfo) {
		read = true
		seen := *hello
		seen.Conn = conn
		use(&seen)
	}}
	tls.Server(throwaway, reader).HandshakeContext(ctx)
	return read
}

// A helloConn is the connection of a throwaway server. use is called with its hello.
type helloConn struct {
	replayed
	use func(*tls.ClientHelloInfo)
}

// helloReader returns the throwaway server's configuration.
func helloReader(config *tls.Config) *tls.Config {
	reader := config.Clone()
	reader.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		hello.Conn.(*helloConn).use(hello)
		return nil, errHelloRead
	}
	return reader
}
