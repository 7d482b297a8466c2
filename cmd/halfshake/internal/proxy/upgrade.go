package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"net"
)

// upgrade hands conn to this exchange. read may hold bytes already read from conn.
func (x *exchange) upgrade(conn net.Conn, read *bufio.Reader) *upgradedConn {
	early, _ := read.Peek(read.Buffered())
	x.mu.Lock()
	defer x.mu.Unlock()
	x.upgraded = conn
	if x.over { // the exchange was cut off meanwhile
		abort(conn)
	} else {
		x.idle = newIdle(x.proxy.idle, func() { _ = conn.Close() })
	}
	return &upgradedConn{Conn: conn, early: bytes.Clone(early), idle: x.idle}
}

// An upgradedConn is a client's connection after an upgrade from HTTP.
type upgradedConn struct {
	net.Conn
	early []byte // data that the client sent before the answer
	idle  *idle
}

func (c *upgradedConn) Read(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	n, err := c.Conn.Read(p)
	c.idle.touch()
	return n, err
}

func (c *upgradedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.idle.touch()
	return n, err
}

// CloseWrite tells the client that the backend has finished sending.
func (c *upgradedConn) CloseWrite() error { return closeWrite(c.Conn) }

// closeWrite sends a close_notify on a TLS connection, or a FIN on a TCP connection.
func closeWrite(conn net.Conn) error {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.New("the connection cannot be half closed")
	}
	return half.CloseWrite()
}

// abort closes conn at once. On a TLS connection it sends no close_notify, which would
// claim that the data is complete.
func abort(conn net.Conn) {
	if below, ok := conn.(interface{ NetConn() net.Conn }); ok {
		_ = below.NetConn().Close()
	}
	_ = conn.Close()
}
