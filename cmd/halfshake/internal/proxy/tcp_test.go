package proxy

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testca"
)

// TestTCP: bytes pass unchanged, and each side's end reaches the other.
func TestTCP(t *testing.T) {
	echo := func(conn net.Conn) { _, _ = io.Copy(conn, conn) }
	overEachGate(t, echo, TCPOptions{}, func(t *testing.T, g *gate) {
		sent := make([]byte, 1<<20)
		_, _ = rand.Read(sent)
		conn := g.dial(t)
		go func() {
			_, _ = conn.Write(sent)
			_ = conn.CloseWrite()
		}()
		got, err := io.ReadAll(conn)
		if err != nil || string(got) != string(sent) {
			t.Errorf("%d of %d bytes, %v", len(got), len(sent), err)
		}
	})
}

// TestTCPBackendFirst: the backend may send and close first, and still receive data.
func TestTCPBackendFirst(t *testing.T) {
	rest := make(chan string, 1)
	backend := func(conn net.Conn) {
		_, _ = io.WriteString(conn, "220 hello\r\n")
		_ = conn.(*net.TCPConn).CloseWrite()
		all, _ := io.ReadAll(conn)
		rest <- string(all)
	}
	overEachGate(t, backend, TCPOptions{}, func(t *testing.T, g *gate) {
		conn := g.dial(t)
		if got, err := io.ReadAll(conn); err != nil || string(got) != "220 hello\r\n" {
			t.Errorf("%q, %v", got, err)
		}
		_, _ = io.WriteString(conn, "quit")
		_ = conn.CloseWrite()
		if got := <-rest; got != "quit" {
			t.Errorf("the backend read %q", got)
		}
	})
}

// TestTCPHandshakeFirst: the proxy does not dial the backend before the handshake is
// complete, and does not wait for a slow client.
func TestTCPHandshakeFirst(t *testing.T) {
	var dialled atomic.Int32
	backend := func(net.Conn) { dialled.Add(1) }
	overEachGate(t, backend, TCPOptions{HandshakeTimeout: 100 * time.Millisecond}, func(t *testing.T, g *gate) {
		hellos := []string{"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"}
		if !g.way.tls12 { // the tls12 listener has its own time limit for a ClientHello
			hellos = append(hellos, "", "\x16\x03\x01")
		}
		for _, sent := range hellos {
			conn := dialRaw(t, g.addr)
			_, _ = io.WriteString(conn, sent)
			if _, err := io.ReadAll(conn); isTimeout(err) {
				t.Errorf("%q: the connection stays open", sent)
			}
		}
		config := clientConfig(g.way.version)
		config.RootCAs = testca.Root("other", testca.ECDSA).Pool()
		if conn, err := tls.Dial("tcp", g.addr, config); err == nil {
			_ = conn.Close()
			t.Error("the client believes another authority")
		}
		_ = g.stop(limit)
		if n := dialled.Load(); n > 0 {
			t.Errorf("the backend was dialled %d times", n)
		}
	})
}

// TestTCPNotTLS: a connection that is not TLS is closed.
func TestTCPNotTLS(t *testing.T) {
	g := newGateOn(t, tcpWays[0], listen(t), newRawBackend(t, func(net.Conn) { t.Error("dialled") }), TCPOptions{})
	if all, err := io.ReadAll(dialRaw(t, g.addr)); len(all) > 0 {
		t.Errorf("%q, %v", all, err)
	}
}

// TestTCPMany has hundreds of concurrent connections, and calls Shutdown among them.
func TestTCPMany(t *testing.T) {
	const clients = 300
	var came atomic.Int32
	proceed, release := newGateway(t)
	backend := newRawBackend(t, func(conn net.Conn) {
		came.Add(1)
		<-proceed
		_, _ = io.Copy(conn, conn)
	})
	var gates []*gate
	for _, w := range tcpWays {
		gates = append(gates, newGate(t, w, backend, TCPOptions{HandshakeTimeout: patience}))
	}
	var work sync.WaitGroup
	slots := make(chan struct{}, 16)
	for i := range clients {
		work.Go(func() {
			if err := echoOnce(gates[i%len(gates)], slots); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	eventually(t, patience, "all connections at the backend", func() bool { return came.Load() == clients })
	stopped := make(chan error, len(gates))
	for _, g := range gates {
		go func() { stopped <- g.stop(patience) }()
	}
	time.Sleep(50 * time.Millisecond)
	release()
	work.Wait()
	for range gates {
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	}
}

func echoOnce(g *gate, slots chan struct{}) error {
	slots <- struct{}{}
	conn, err := tls.Dial("tcp", g.addr, clientConfig(g.way.version))
	<-slots
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, strings.Repeat("x", 10_000)); err != nil {
		return err
	}
	_ = conn.CloseWrite()
	got, err := io.ReadAll(conn)
	if err == nil && len(got) != 10_000 {
		err = errors.New("not the whole answer")
	}
	return err
}
