package main

import (
	"cmp"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	"github.com/halfshake/halfshake/tls12"
)

// A connection is a connection to the runner.
type connection struct {
	*tls12.Conn
	side    *side
	o       *options
	tap     *tap
	resumes bool // whether it is not the first connection
	checked bool
}

// connections makes all connections, one after the other.
func (inv *invocation) connections() error {
	store := new(sessions)
	var session *tls12.Session
	for i := range inv.initial.resumeCount + 1 {
		o := &inv.initial
		if i > 0 {
			o = &inv.resume
		}
		made, err := connect(o, i > 0, store, session)
		if err != nil {
			return err
		}
		session = cmp.Or(made, session)
	}
	return nil
}

// connect makes one connection and returns the session that a client may propose next.
func connect(o *options, resumes bool, store *sessions, session *tls12.Session) (*tls12.Session, error) {
	side, err := newSide(o)
	if err != nil {
		return nil, fault{err}
	}
	tap, err := dial(o)
	if err != nil {
		return nil, fault{err}
	}
	defer tap.end()
	c := &connection{side: side, o: o, tap: tap, resumes: resumes}
	if o.server {
		if err := side.admit(tap.hello()); err != nil {
			return nil, fault{err}
		}
		c.Conn, err = tls12.Server(tap, side.config, store)
	} else {
		c.Conn, err = tls12.Client(tap, side.config, session)
	}
	if err != nil {
		return nil, err
	}
	if err := c.exchange(); err != nil {
		return nil, err
	}
	return c.Session(), nil
}

// dial connects to the runner and sends it the test's id.
func dial(o *options) (*tap, error) {
	host := "127.0.0.1"
	if o.ipv6 {
		host = "::1"
	}
	conn, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(o.port)))
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(binary.LittleEndian.AppendUint64(nil, uint64(o.shimID))); err != nil {
		return nil, err
	}
	return &tap{TCPConn: conn.(*net.TCPConn), slow: o.async}, nil
}

// exchange does what every connection does.
func (c *connection) exchange() error {
	if !c.o.implicitHandshake {
		if err := c.Handshake(); err != nil {
			return err
		}
		if err := c.check(); err != nil {
			return err
		}
		if c.o.extraHandshake {
			if err := c.Handshake(); err != nil {
				return err
			}
		}
	}
	if err := c.speakFirst(); err != nil {
		return err
	}
	if !c.o.shimShutsDown && !c.o.differentRecordSizes {
		if err := c.echo(); err != nil {
			return err
		}
	}
	if err := c.check(); err != nil {
		return err
	}
	return c.shutDown()
}

// speakFirst sends data that does not wait for the runner.
func (c *connection) speakFirst() error {
	if c.o.exportLength > 0 {
		material, err := c.export()
		if err != nil {
			return err
		}
		if _, err := c.Write(material); err != nil {
			return err
		}
	}
	if c.o.tlsUnique {
		if _, err := c.Write(c.ConnectionState().TLSUnique); err != nil {
			return err
		}
	}
	switch {
	case c.o.differentRecordSizes:
		return c.writeSizes()
	case c.o.shimWritesFirst:
		for range max(1, c.o.repeatInitialWrite) {
			if _, err := c.Write([]byte(cmp.Or(c.o.initialWrite, "hello"))); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *connection) export() ([]byte, error) {
	var context []byte
	if c.o.useExportContext {
		context = append([]byte{}, c.o.exportContext...)
	}
	return c.ExportKeyingMaterial(c.o.exportLabel, context, c.o.exportLength)
}

// writeSizes writes data of sizes around the limits of a record.
func (c *connection) writeSizes() error {
	const record = 1 << 14
	for _, n := range []int{0, 1, 255, 256, 257, record - 1, record, record + 1, 2*record - 1, 2 * record, 2*record + 1} {
		content := make([]byte, n)
		for i := range content {
			content[i] = 0x42
		}
		if _, err := c.Write(content); err != nil {
			return err
		}
	}
	return nil
}

// echo sends back all that it reads, with its bits inverted, until the end.
func (c *connection) echo() error {
	buf := make([]byte, cmp.Or(c.o.readSize, 512))
	for {
		if c.o.exporterInReads {
			if _, err := c.export(); err != nil {
				return err
			}
		}
		n, err := c.Read(buf)
		for i := range buf[:n] {
			buf[i] ^= 0xff
		}
		if n > 0 {
			if _, err := c.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

var errTruncated = errors.New("the stream ended without close_notify")

// shutDown ends the connection, in an orderly way if the test wants that.
func (c *connection) shutDown() error {
	if err := c.CloseWrite(); err != nil {
		if c.o.checkCloseNotify {
			return err
		}
		return nil // the runner may close first
	}
	if !c.o.checkCloseNotify {
		return nil
	}
	if c.o.shimShutsDown {
		n, err := c.Read(make([]byte, 1))
		switch {
		case n > 0:
			return errors.New("data after the shim's close_notify")
		case !errors.Is(err, io.EOF):
			return err
		}
	}
	if c.tap.eof {
		return errTruncated
	}
	return nil
}

// describe returns an error's text in the form that the configuration's ErrorMap uses. It
// names an alert by its number, since its text comes from crypto/tls.
func describe(err error) string {
	var alert tls.AlertError
	if errors.As(err, &alert) {
		return fmt.Sprintf("alert %d: %v", uint8(alert), err)
	}
	return err.Error()
}
