package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"
)

// A gate is a TLS listener in front of a TCP proxy.
type gate struct {
	proxy *TCP
	addr  string
	way   way
	log   *logLines
	ended chan error
}

// tcpWays are crypto/tls and the engine tls12.
var tcpWays = http1Ways()

func newGate(t *testing.T, w way, target string, options TCPOptions) *gate {
	t.Helper()
	config := serverConfig()
	config.NextProtos = nil
	return newGateOn(t, w, w.listen(t, listen(t), config), target, options)
}

func newGateOn(t *testing.T, w way, l net.Listener, target string, options TCPOptions, adjust ...func(*TCP)) *gate {
	t.Helper()
	g := &gate{way: w, log: &logLines{}, ended: make(chan error, 1), addr: l.Addr().String()}
	options.Log = testLogger(g.log)
	g.proxy = NewTCP(Target{"tcp", target}, options)
	for _, change := range adjust {
		change(g.proxy)
	}
	go func() { g.ended <- g.proxy.Serve(l) }()
	t.Cleanup(func() {
		_ = g.stop(limit)
		if err := <-g.ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if t.Failed() {
			t.Logf("the proxy logged:\n%s", g.log)
		}
	})
	return g
}

func (g *gate) stop(grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	return g.proxy.Shutdown(ctx)
}

func (g *gate) dial(t *testing.T) *tls.Conn {
	t.Helper()
	return dialTLS(t, g.addr, clientConfig(g.way.version))
}

// overEachGate runs a test with a raw backend, in each way.
func overEachGate(t *testing.T, backend func(net.Conn), options TCPOptions, test func(*testing.T, *gate)) {
	t.Helper()
	for _, w := range tcpWays {
		t.Run(w.name, func(t *testing.T) { test(t, newGate(t, w, newRawBackend(t, backend), options)) })
	}
}

func dialRaw(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(2 * limit))
	return conn
}

// A watched connection keeps the encrypted data that it reads. It has one reader.
type watched struct {
	net.Conn
	came []byte
}

func (c *watched) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.came = append(c.came, p[:n]...)
	return n, err
}

// endedProperly reports whether the last record can be a close_notify: in TLS 1.2, an
// alert; in TLS 1.3, a record of the length of an encrypted alert.
func (c *watched) endedProperly() bool {
	const alert, data, encrypted = 21, 23, 2 + 1 + 16
	var kind byte
	var size int
	for rest := c.came; len(rest) >= 5; rest = rest[min(len(rest), 5+size):] {
		kind, size = rest[0], int(rest[3])<<8|int(rest[4])
	}
	return kind == alert || kind == data && size == encrypted
}
