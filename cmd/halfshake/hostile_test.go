package main

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testsecrets"
)

// TestHostileBytes sends what is no handshake, and then nothing more: the server
// closes within its limit, and goes on serving.
func TestHostileBytes(t *testing.T) {
	l := quick
	l.request = time.Minute
	r := startServer(t, l)
	hello := clientHello(t)
	for _, c := range []struct {
		name, says string
		sent       []byte
	}{
		{"nothing", "", nil},
		{"one byte", "", hello[:1]},
		{"a record's header", "", hello[:5]},
		{"half a ClientHello", "", hello[:len(hello)/2]},
		{"all but one byte of a ClientHello", "", hello[:len(hello)-1]},
		{"a ClientHello and no more", "", hello},
		{"a ClientHello twice", "", bytes.Repeat(hello, 2)},
		{"plain HTTP", "Client sent an HTTP request to an HTTPS server", []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")},
		{"HTTP/2 in the clear", "", []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
		{"SSH", "", []byte("SSH-2.0-OpenSSH_9.2\r\n")},
		{"zeros", "", make([]byte, 64<<10)},
		{"0xff", "", bytes.Repeat([]byte{0xff}, 64<<10)},
		{"a record of the largest length", "", append([]byte{22, 3, 1, 0xff, 0xff}, make([]byte, 64<<10)...)},
		{"a handshake message of 16 MB", "", append([]byte{22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff}, make([]byte, 64<<10)...)},
		{"empty records", "", bytes.Repeat([]byte{22, 3, 1, 0, 0}, 10_000)},
		{"warning alerts", "", bytes.Repeat([]byte{21, 3, 1, 0, 2, 1, 90}, 10_000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, r.addr)
			go func() { _, _ = conn.Write(c.sent) }()
			if said := readAll(t, conn, conn); !strings.Contains(said, c.says) {
				t.Errorf("the server said %q, want %q in it", said, c.says)
			}
		})
	}
	t.Run("a byte at a time", func(t *testing.T) {
		t.Parallel()
		conn := dial(t, r.addr)
		go func() {
			for i := range hello {
				if _, err := conn.Write(hello[i : i+1]); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}()
		readAll(t, conn, conn)
	})
	t.Cleanup(func() { r.mustAnswer(t) })
}

// TestStalledRequests completes the handshake and then stalls.
func TestStalledRequests(t *testing.T) {
	t.Parallel() // net/http waits ten seconds for a preface
	r := startServer(t, quick)
	for _, c := range []struct {
		name, protocol, sent string
	}{
		{"no request", "http/1.1", ""},
		{"half a request", "http/1.1", "GET / HTTP/1.1\r\nHost: localhost\r\n"},
		{"a body that never comes", "http/1.1", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"},
		{"a request, and then nothing", "http/1.1", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"},
		{"no HTTP/2 preface", "h2", ""},
		{"half an HTTP/2 preface", "h2", "PRI * HTTP/2.0\r\n"},
		{"an HTTP/2 preface alone", "h2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn := r.handshaken(t, c.protocol)
			go func() { _, _ = io.WriteString(conn, c.sent) }()
			// The records below, since crypto/tls reads no more after an alert.
			readAll(t, conn.NetConn(), conn.NetConn())
		})
	}
	t.Cleanup(func() { r.mustAnswer(t) })
}

// TestDefaultLimits: the limits that users get are limits.
func TestDefaultLimits(t *testing.T) {
	l := defaultLimits
	for name, d := range map[string]time.Duration{"handshake": l.handshake, "request": l.request, "write": l.write, "idle": l.idle} {
		if d <= 0 || d > 5*time.Minute {
			t.Errorf("%s: %v", name, d)
		}
	}
	if l.connections <= 0 || l.connections > 10_000 || l.headerBytes <= 0 || l.headerBytes > 64<<10 {
		t.Errorf("%d connections, %d bytes of header", l.connections, l.headerBytes)
	}
}

// TestHeadersAreBounded sends a header that has no end.
func TestHeadersAreBounded(t *testing.T) {
	r := startServer(t, quick)
	conn := r.handshaken(t)
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nX: "+strings.Repeat("x", 10<<10)); err != nil {
		t.Fatal(err)
	}
	if said := readAll(t, conn, conn); !strings.HasPrefix(said, "HTTP/1.1 431 ") {
		t.Errorf("the server said %q", said)
	}
}

// TestConnectionsAreBounded holds as many connections as may be open: another
// client waits, and is served when their time has run out.
func TestConnectionsAreBounded(t *testing.T) {
	l := quick
	l.connections = 3
	r := startServer(t, l)
	for range l.connections {
		_, _ = dial(t, r.addr).Write(clientHello(t)[:1]) // a client that says nothing stays in the kernel
	}
	begun := time.Now()
	r.mustAnswer(t)
	if waited := time.Since(begun); waited < l.handshake/2 {
		t.Errorf("a client beyond the bound was served after %v", waited)
	}
}

// TestShutdownIsBounded ends the server while a client stalls in its handshake.
func TestShutdownIsBounded(t *testing.T) {
	l := quick
	l.handshake, l.request = time.Minute, time.Minute
	r := startServer(t, l)
	conn := dial(t, r.addr)
	_, _ = conn.Write(clientHello(t)[:20])
	time.Sleep(50 * time.Millisecond)
	begun := time.Now()
	r.stop(t)
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("shutting down took %v", took)
	}
	readAll(t, conn, conn)
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// clientHello returns the record that a client of crypto/tls begins with.
func clientHello(t *testing.T) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		defer far.Close()
		_ = tls.Client(far, &tls.Config{ServerName: "localhost", KeyLogWriter: testsecrets.KeyLog()}).Handshake()
	}()
	record := make([]byte, 16<<10)
	n, err := near.Read(record)
	if err != nil {
		t.Fatal(err)
	}
	return record[:n]
}
