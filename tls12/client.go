package tls12

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
)

// Client returns the client's side of a connection. The configuration must not be
// changed afterwards. If session is not nil it is proposed to the server, unless
// the configuration would not accept it again: its suite must be enabled and,
// unless Config.InsecureSkipVerify is set, its certificate still be good for
// Config.ServerName under the roots and clock of now.
func Client(conn net.Conn, config *tls.Config, session *Session) (*Conn, error) {
	if conn == nil {
		return nil, errors.New("tls12: the net.Conn is nil")
	}
	if err := checkClientConfig(config); err != nil {
		return nil, err
	}
	c := newConn(conn, config, tls.VersionTLS10) // until the server has answered; some are picky
	c.proposed = session
	c.run = c.clientHandshake
	return c, nil
}

// Session returns what the client may propose next time, completing the handshake
// first: the session that this connection resumed or made, or nil if the server
// gave it no id or the extended master secret is missing. On a server it is the
// session that was stored or resumed.
func (c *Conn) Session() *Session {
	if c.Handshake() != nil {
		return nil
	}
	return c.session.Load()
}

// clientHandshake is RFC 5246, section 7.3, from the other side.
func (c *Conn) clientHandshake(ctx context.Context) error {
	start := &clientStart{&clientHandshake{c: c, ctx: ctx}}
	sent, err := start.sendHello()
	if err != nil {
		return err
	}
	hello, err := sent.readServerHello()
	if err != nil {
		return err
	}
	resumes, err := hello.resumes()
	if err != nil {
		return err
	}
	if resumes {
		return hello.abbreviated()
	}
	return hello.full()
}

func (h *serverHelloRead) abbreviated() error {
	resumption, err := h.acceptResumption()
	if err != nil {
		return err
	}
	finished, err := resumption.readFinished()
	if err != nil {
		return err
	}
	return finished.sendFinished()
}

func (h *serverHelloRead) full() error {
	server, err := h.readCertificate()
	if err != nil {
		return err
	}
	exchange, err := server.readKeyExchange()
	if err != nil {
		return err
	}
	done, err := exchange.readDone()
	if err != nil {
		return err
	}
	flight, err := done.sendFlight()
	if err != nil {
		return err
	}
	return flight.readFinished()
}

// A clientHandshake is what its states share. Each state has a type, whose one or
// two methods lead to the next.
type clientHandshake struct {
	c   *Conn
	ctx context.Context

	raw   []byte // the ClientHello
	hello clientHelloMsg
	offer *Session // proposed, if not nil

	suite      *suite
	transcript transcript
}
