//go:build unix

package tls12

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestResetIsNotWrittenTo checks that nothing is written after the peer has reset the
// connection.
func TestResetIsNotWrittenTo(t *testing.T) {
	near, far := tcpPair(t)
	counted := &countedConn{Conn: far}
	client, server := newClient(t, near, clientConfig(t), nil), newServer(t, counted, serverConfig(t), nil)
	if clientErr, serverErr := handshakes(client, server); clientErr != nil || serverErr != nil {
		t.Fatal(clientErr, serverErr)
	}
	before := counted.writes.Load()
	near.(*net.TCPConn).SetLinger(0) // Close resets the connection
	near.Close()
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	if _, err := server.Write([]byte{1}); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Write: %v", err)
	}
	if err := server.Close(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Close: %v", err)
	}
	if n := counted.writes.Load() - before; n != 0 {
		t.Errorf("%d writes", n)
	}
}

// A countedConn counts its writes.
type countedConn struct {
	net.Conn
	writes atomic.Int64
}

func (c *countedConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}
