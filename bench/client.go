package main

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"github.com/halfshake/halfshake/tls12"
)

// A client makes connections, one after another, and resumes what it can.
type client interface {
	// over makes a connection over raw, which it closes, and reads a byte. It
	// returns whether it resumed.
	over(raw net.Conn) (resumed bool, err error)
}

// visit makes one connection to a server, and returns whether it resumed and the
// length in bytes of the ClientHello's record.
func visit(c client, addr string) (resumed bool, hello int, err error) {
	raw, err := dial(addr)
	if err != nil {
		return false, 0, err
	}
	resumed, err = c.over(raw)
	return resumed, raw.first, err
}

// newConfig is a client of one protocol version, with a certificate or none. It does not
// verify the server's: package tls12 would verify a session's chain again before it
// proposes it, and a server that waits for its client spends more on falling asleep and
// waking up than on a handshake.
func newConfig(version uint16, cert *tls.Certificate) *tls.Config {
	config := &tls.Config{
		ServerName: "localhost", InsecureSkipVerify: true, MinVersion: version, MaxVersion: version,
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	if cert != nil {
		config.Certificates = []tls.Certificate{*cert}
	}
	return config
}

// A ticketClient is crypto/tls's, which resumes by ticket.
type ticketClient struct{ config *tls.Config }

func (c ticketClient) over(raw net.Conn) (resumed bool, err error) {
	conn := tls.Client(raw, c.config)
	defer conn.Close()
	return isResumed(conn)
}

// An idClient is package tls12's, which resumes by session id.
type idClient struct {
	config  *tls.Config
	session *tls12.Session
}

func newIDClient(config *tls.Config) *idClient {
	config.ClientSessionCache = nil // package tls12 has no use for one
	return &idClient{config: config}
}

func (c *idClient) over(raw net.Conn) (resumed bool, err error) {
	conn, err := tls12.Client(raw, c.config, c.session)
	if err != nil {
		return false, errors.Join(err, raw.Close())
	}
	defer conn.Close()
	resumed, err = isResumed(conn)
	c.session = conn.Session()
	return resumed, err
}

// A tlsConn is a connection of crypto/tls, of package tls12 or of a Cache.
type tlsConn interface {
	net.Conn
	Handshake() error
	ConnectionState() tls.ConnectionState
}

func isResumed(conn tlsConn) (bool, error) {
	err := readByte(conn)
	return conn.ConnectionState().DidResume, err
}

func readByte(r io.Reader) error {
	_, err := io.ReadFull(r, make([]byte, 1))
	return err
}

// A dialed connection notes the length of its first write.
type dialed struct {
	net.Conn
	first int
}

func dial(addr string) (*dialed, error) {
	raw, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	raw.SetDeadline(time.Now().Add(20 * time.Second))
	return &dialed{Conn: raw}, nil
}

func (d *dialed) Write(b []byte) (int, error) {
	if d.first == 0 {
		d.first = len(b)
	}
	return d.Conn.Write(b)
}
