package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestTCPTruncation: if one side breaks off, the other side does not end properly.
func TestTCPTruncation(t *testing.T) {
	t.Run("the backend's", func(t *testing.T) {
		backend := func(conn net.Conn) {
			_, _ = io.WriteString(conn, "half")
			_, _ = conn.Read(make([]byte, 1))
			_ = conn.(*net.TCPConn).SetLinger(0) // so that closing sends a reset
		}
		overEachGate(t, backend, TCPOptions{}, func(t *testing.T, g *gate) {
			below := &watched{Conn: dialRaw(t, g.addr)}
			conn := tls.Client(below, clientConfig(g.way.version))
			_, _ = io.ReadFull(conn, make([]byte, 4))
			_, _ = conn.Write([]byte("x"))
			_, _ = io.ReadAll(conn)
			if below.endedProperly() {
				t.Error("the client was sent a close_notify")
			}
		})
	})
	t.Run("the client's", func(t *testing.T) {
		ended := make(chan error, 1)
		backend := func(conn net.Conn) {
			_, err := io.ReadAll(conn)
			ended <- err
		}
		overEachGate(t, backend, TCPOptions{}, func(t *testing.T, g *gate) {
			conn := g.dial(t)
			_, _ = io.WriteString(conn, "half")
			_ = conn.NetConn().(*net.TCPConn).SetLinger(0)
			_ = conn.NetConn().Close()
			if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the backend's connection ended with %v", err)
			}
		})
	})
}

// TestTCPBackendDead: the client gets a close_notify, and the failure is logged.
func TestTCPBackendDead(t *testing.T) {
	for _, w := range tcpWays {
		t.Run(w.name, func(t *testing.T) {
			g := newGate(t, w, deadAddress(t), TCPOptions{})
			below := &watched{Conn: dialRaw(t, g.addr)}
			if all, err := io.ReadAll(tls.Client(below, clientConfig(w.version))); err != nil || len(all) > 0 {
				t.Errorf("%q, %v", all, err)
			}
			if !below.endedProperly() {
				t.Error("no close_notify")
			}
			if log := g.log.String(); !strings.Contains(log, "connection refused") || !strings.Contains(log, "WARN") {
				t.Errorf("the log is %s", log)
			}
		})
	}
}

// TestTCPIdle: an idle connection is closed with a close_notify. A connection with data in
// either direction is not closed.
func TestTCPIdle(t *testing.T) {
	t.Parallel()
	ticks := func(conn net.Conn) {
		for range 12 {
			_, _ = io.WriteString(conn, "tick")
			time.Sleep(100 * time.Millisecond)
		}
		_, _ = io.Copy(io.Discard, conn)
	}
	overEachGate(t, ticks, TCPOptions{IdleTimeout: time.Second}, func(t *testing.T, g *gate) {
		t.Parallel()
		below := &watched{Conn: dialRaw(t, g.addr)}
		conn := tls.Client(below, clientConfig(g.way.version))
		got := make([]byte, 48)
		if _, err := io.ReadFull(conn, got); err != nil {
			t.Fatal(err)
		}
		for range 12 {
			_, _ = io.WriteString(conn, "tock")
			time.Sleep(100 * time.Millisecond)
		}
		if rest, err := io.ReadAll(conn); err != nil || len(rest) > 0 || !below.endedProperly() {
			t.Errorf("%q, %v, close_notify %v", rest, err, below.endedProperly())
		}
	})
}

// TestTCPHalfOpen: once the backend has closed, a client that does not close is timed out
// sooner than one that may still get an answer.
func TestTCPHalfOpen(t *testing.T) {
	backend := newRawBackend(t, func(conn net.Conn) { _, _ = io.WriteString(conn, "bye") })
	soon := func(p *TCP) { p.halfOpen = 100 * time.Millisecond }
	g := newGateOn(t, tcpWays[0], tls.NewListener(listen(t), serverConfig()), backend, TCPOptions{}, soon)
	conn := g.dial(t)
	if _, err := io.ReadAll(conn); err != nil {
		t.Error(err)
	}
	eventually(t, limit, "the end of the connection", func() bool { return g.proxy.running.size() == 1 })
}

// TestTCPStalls: a client that does not read counts as idle.
func TestTCPStalls(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	flood := func(conn net.Conn) {
		for {
			if _, err := conn.Write(make([]byte, 64<<10)); err != nil {
				ended <- struct{}{}
				return
			}
		}
	}
	overEachGate(t, flood, TCPOptions{IdleTimeout: 200 * time.Millisecond}, func(t *testing.T, g *gate) {
		conn := g.dial(t)
		_, _ = io.ReadFull(conn, make([]byte, 10))
		select {
		case <-ended:
		case <-time.After(limit):
			t.Error("the backend is still sending")
		}
	})
}

// TestTCPShutdown: Shutdown waits for open connections, cuts off those that stay, and
// leaves no goroutine running.
func TestTCPShutdown(t *testing.T) {
	echo := func(conn net.Conn) { _, _ = io.Copy(conn, conn) }
	overEachGate(t, echo, TCPOptions{}, func(t *testing.T, g *gate) {
		conn := g.dial(t)
		eventually(t, limit, "a tunnel", func() bool { return g.proxy.running.size() == 2 })
		stopped := make(chan error, 1)
		go func() { stopped <- g.stop(limit) }()
		eventually(t, limit, "no more connections", func() bool {
			late, err := net.Dial("tcp", g.addr)
			if err == nil {
				_ = late.Close()
			}
			return err != nil
		})
		got := make([]byte, 5)
		_, _ = io.WriteString(conn, "still")
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != "still" {
			t.Errorf("%q, %v", got, err)
		}
		_ = conn.Close()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
	stay := func(conn net.Conn) {
		for {
			if _, err := io.WriteString(conn, "."); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	overEachGate(t, stay, TCPOptions{}, func(t *testing.T, g *gate) {
		conns := []net.Conn{g.dial(t), g.dial(t), dialRaw(t, g.addr)}
		half := g.dial(t)
		_ = half.CloseWrite()
		eventually(t, limit, "two tunnels", func() bool { return g.proxy.running.size() >= 4 })
		begun := time.Now()
		if err := g.stop(50 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if took := time.Since(begun); took > limit/5 || g.proxy.running.size() > 0 {
			t.Errorf("after %v, %d connections are left", took, g.proxy.running.size())
		}
		for _, conn := range append(conns, half) {
			if _, err := io.ReadAll(conn); isTimeout(err) {
				t.Error("a connection stays open")
			}
		}
	})
}
