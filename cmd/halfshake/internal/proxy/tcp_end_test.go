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

// TestTCPTruncation: what breaks off on one side does not end properly on the other.
func TestTCPTruncation(t *testing.T) {
	t.Run("the backend's", func(t *testing.T) {
		backend := func(conn net.Conn) {
			_, _ = io.WriteString(conn, "half")
			_, _ = conn.Read(make([]byte, 1))
			_ = conn.(*net.TCPConn).SetLinger(0) // so that its end is a reset
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

// TestTCPBackendDead: the client is told properly, and the log too.
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

// TestTCPIdle: a connection over which nothing comes is closed with a close_notify,
// one over which something comes, in either direction, is not.
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

// TestTCPHalfOpen: a client that does not close after the backend has is not waited
// for as long as one that may yet be answered.
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

// TestTCPStalls: a client that does not read is idle too.
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
			t.Error("the backend still sends")
		}
	})
}

// TestTCPShutdown: it waits for what is under way, cuts off what stays, and
// leaves nothing behind.
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
			t.Errorf("after %v there are %d left", took, g.proxy.running.size())
		}
		for _, conn := range append(conns, half) {
			if _, err := io.ReadAll(conn); isTimeout(err) {
				t.Error("a connection stays open")
			}
		}
	})
}
