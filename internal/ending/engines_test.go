package ending_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/ending"
	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/tls12"
)

// A transport remembers the last error of its Read, as OfRead wants it.
type transport struct {
	net.Conn
	err error
}

func (c *transport) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n == 0 && err != nil {
		c.err = err
	}
	return n, err
}

// TestEngines ends real connections of every engine and compares what their Read
// says.
func TestEngines(t *testing.T) {
	record := func(header string) func(net.Conn, *tls.Conn) {
		return func(raw net.Conn, _ *tls.Conn) {
			go io.Copy(io.Discard, raw) // the alert
			raw.Write([]byte(header + strings.Repeat("x", 32)))
		}
	}
	ends := []struct {
		name string
		end  func(raw net.Conn, client *tls.Conn)
		want ending.How
	}{
		{"close_notify", func(_ net.Conn, client *tls.Conn) { client.Close() }, ending.Clean},
		{"the transport's end", func(raw net.Conn, _ *tls.Conn) { raw.Close() }, ending.Unclean},
		{"the transport's end within a record", func(raw net.Conn, _ *tls.Conn) { raw.Write([]byte("\x17\x03\x03\x00\x20x")); raw.Close() }, ending.Unclean},
		{"a forged record", record("\x17\x03\x03\x00\x20"), ending.Alert},
		{"a record of a wrong version", record("\x17\x02\x00\x00\x20"), ending.Alert},
		{"a record that is too long", record("\x17\x03\x03\xff\xff"), ending.Alert},
		{"nothing", func(net.Conn, *tls.Conn) {}, ending.None}, // until the deadline
	}
	ca := testca.Root("ca", testca.ECDSA)
	server := &tls.Config{Certificates: []tls.Certificate{ca.Server()}, MaxVersion: tls.VersionTLS12}
	for name, open := range map[string]func(net.Conn) engine{
		"crypto/tls": func(conn net.Conn) engine { return tls.Server(conn, server) },
		"tls12": func(conn net.Conn) engine {
			c, err := tls12.Server(conn, server, nil)
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
	} {
		for _, end := range ends {
			t.Run(name+"/"+end.name, func(t *testing.T) {
				near, far := net.Pipe()
				below := &transport{Conn: far}
				side, client := open(below), tls.Client(near, &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"})
				connected := make(chan error, 1)
				go func() { connected <- client.Handshake() }()
				if err := side.HandshakeContext(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := <-connected; err != nil {
					t.Fatal(err)
				}
				side.SetDeadline(time.Now().Add(20 * time.Second))
				ended := make(chan struct{})
				go func() { defer close(ended); end.end(near, client) }()
				if end.want == ending.None {
					side.SetReadDeadline(time.Now())
				}
				_, err := side.Read(make([]byte, 1))
				if got := ending.OfRead(err, below.err); got != end.want {
					t.Errorf("%v is %v, want %v", err, got, end.want)
				}
				near.Close()
				far.Close()
				<-ended
			})
		}
	}
}

type engine interface {
	net.Conn
	HandshakeContext(context.Context) error
}
