package tls12

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
)

// Server returns the server's side of a connection over conn. The configuration
// must not be changed afterwards. Its GetConfigForClient is not called: the caller,
// who reads the ClientHello to choose this engine, calls it and passes the result.
//
// If sessions is nil or Config.SessionTicketsDisabled is set, nothing is looked up
// or stored.
//
// Server returns an error if conn is nil or the configuration cannot be honoured.
func Server(conn net.Conn, config *tls.Config, sessions Sessions) (*Conn, error) {
	if conn == nil {
		return nil, errors.New("tls12: the net.Conn is nil")
	}
	if err := checkServerConfig(config); err != nil {
		return nil, err
	}
	c := newConn(conn, config, versionTLS12)
	if !config.SessionTicketsDisabled {
		c.sessions = sessions
	}
	c.run = c.serverHandshake
	return c, nil
}

// serverHandshake is the server's side of RFC 5246, section 7.3.
func (c *Conn) serverHandshake(ctx context.Context) error {
	start := &serverStart{&serverHandshake{c: c, ctx: ctx}}
	hello, err := start.readClientHello()
	if err != nil {
		return err
	}
	session, err := hello.lookUp()
	if err != nil {
		return err
	}
	if session != nil {
		return hello.abbreviated(session)
	}
	return hello.full()
}

func (h *helloRead) abbreviated(s *Session) error {
	resumption, err := h.sendResumption(s)
	if err != nil {
		return err
	}
	return resumption.readFinished()
}

func (h *helloRead) full() error {
	flight, err := h.sendFlight()
	if err != nil {
		return err
	}
	client, err := flight.readCertificate()
	if err != nil {
		return err
	}
	exchange, err := client.readKeyExchange()
	if err != nil {
		return err
	}
	verified, err := exchange.readCertificateVerify()
	if err != nil {
		return err
	}
	finished, err := verified.readFinished()
	if err != nil {
		return err
	}
	return finished.sendFinished()
}

// A serverHandshake is what the states of the handshake share. Each state has its
// own type, and a method for each step that it allows, which returns the next state.
type serverHandshake struct {
	c   *Conn
	ctx context.Context

	raw   []byte // the ClientHello
	msg   clientHelloMsg
	offer offer
	view  *ClientHello

	suite      *suite
	transcript transcript
}

// enterSuite sets the suite and starts the transcript, whose hash depends on it.
func (h *serverHandshake) enterSuite(s *suite, keep bool) {
	h.suite, h.c.agreed.suite = s, s.id
	h.transcript = transcript{hash: s.hash.New(), keep: keep}
	h.transcript.add(h.raw)
	h.raw = nil
}

// verifyConnection calls the configuration's VerifyConnection.
func (c *Conn) verifyConnection() error {
	if c.config.VerifyConnection == nil {
		return nil
	}
	if err := c.config.VerifyConnection(c.state()); err != nil {
		return &failure{alertBadCertificate, err}
	}
	return nil
}
