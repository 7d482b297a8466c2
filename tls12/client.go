package tls12

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
)

// Client returns the client's side of a connection over conn. The configuration
// must not be changed afterwards.
//
// If session is not nil, it is proposed to the server, unless the configuration
// would no longer accept it: its suite must be enabled and, unless
// Config.InsecureSkipVerify is set, its certificate must be valid for
// Config.ServerName now, under Config.RootCAs.
//
// Client returns an error if conn is nil or the configuration cannot be honoured.
func Client(conn net.Conn, config *tls.Config, session *Session) (*Conn, error) {
	if conn == nil {
		return nil, errors.New("tls12: the net.Conn is nil")
	}
	if err := checkClientConfig(config); err != nil {
		return nil, err
	}
	c := newConn(conn, config, tls.VersionTLS10) // some servers reject TLS 1.2 in the first record
	c.proposed = session
	c.run = c.clientHandshake
	return c, nil
}

// Session completes the handshake and returns the session that a client may
// propose next time: the one that this connection resumed or made. It returns nil
// if the handshake failed, if the server sent no id, or without the extended master
// secret. On a server it returns the session that was stored or resumed.
func (c *Conn) Session() *Session {
	if c.Handshake() != nil {
		return nil
	}
	return c.session.Load()
}

// clientHandshake is the client's side of RFC 5246, section 7.3.
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

// A clientHandshake is what the states of the handshake share. Each state has its
// own type, and a method for each step that it allows, which returns the next state.
type clientHandshake struct {
	c   *Conn
	ctx context.Context

	raw   []byte // the ClientHello
	hello clientHelloMsg
	offer *Session // the session proposed, or nil

	suite      *suite
	transcript transcript
}
