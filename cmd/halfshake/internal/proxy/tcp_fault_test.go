package proxy

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestTCPPanic: a panic anywhere in a connection ends that connection and nothing else.
func TestTCPPanic(t *testing.T) {
	backend := newRawBackend(t, func(conn net.Conn) { _, _ = io.Copy(conn, conn) })
	for _, where := range []string{"handshake", "read", "write"} {
		t.Run(where, func(t *testing.T) {
			l := &rigged{Listener: tls.NewListener(listen(t), serverConfig()), where: where}
			g := newGateOn(t, tcpWays[0], l, backend, TCPOptions{})
			first := dialRaw(t, g.addr)
			conn := tls.Client(first, clientConfig(g.way.version))
			_, _ = conn.Write([]byte("hello"))
			if _, err := io.ReadAll(conn); isTimeout(err) {
				t.Error("the connection stays open")
			}
			second := g.dial(t)
			_, _ = io.WriteString(second, "hello")
			if _, err := io.ReadFull(second, make([]byte, 5)); err != nil {
				t.Errorf("the next: %v", err)
			}
			_ = second.Close()
			if log := g.log.String(); strings.Count(log, "in a panic") != 1 || !strings.Contains(log, "rigged") {
				t.Errorf("the log is %s", log)
			}
		})
	}
}

// rigged is a listener whose first connection panics.
type rigged struct {
	net.Listener
	where string
	n     atomic.Int32
}

func (l *rigged) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil || l.n.Add(1) > 1 {
		return conn, err
	}
	return &riggedConn{Conn: conn.(*tls.Conn), where: l.where}, nil
}

type riggedConn struct {
	*tls.Conn
	where string
}

func (c *riggedConn) HandshakeContext(ctx context.Context) error {
	c.fail("handshake")
	return c.Conn.HandshakeContext(ctx)
}

func (c *riggedConn) Read(p []byte) (int, error) {
	c.fail("read")
	return c.Conn.Read(p)
}

func (c *riggedConn) Write(p []byte) (int, error) {
	c.fail("write")
	return c.Conn.Write(p)
}

func (c *riggedConn) fail(where string) {
	if where == c.where {
		panic("rigged")
	}
}

// TestAcceptAgain: a shortage of file descriptors does not end Serve.
func TestAcceptAgain(t *testing.T) {
	l := &exhausted{Listener: tls.NewListener(listen(t), serverConfig())}
	g := newGateOn(t, tcpWays[0], l, newRawBackend(t, func(conn net.Conn) { _, _ = io.Copy(conn, conn) }), TCPOptions{})
	conn := g.dial(t)
	_, _ = io.WriteString(conn, "hello")
	if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
		t.Error(err)
	}
	_ = conn.Close()
}

type exhausted struct {
	net.Listener
	n atomic.Int32
}

func (l *exhausted) Accept() (net.Conn, error) {
	if l.n.Add(1) < 4 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}
