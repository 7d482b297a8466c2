package interop

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/external"
	"github.com/halfshake/halfshake/external/memstore"
	"github.com/halfshake/halfshake/internal/testca"
)

// TestHTTP3 has an http3.Transport make requests of an http3.Server, both left at their defaults: the server advertises
// early data, and the client offers it with every session that allows it. Each request has a connection of its own, so
// each but the first resumes. The server restarts half-way, where its sessions are in an external cache.
func TestHTTP3(t *testing.T) {
	for _, method := range []string{http.MethodGet, http3.MethodGet0RTT} {
		t.Run(method, func(t *testing.T) {
			t.Run("internal cache", func(t *testing.T) {
				e, client := newHTTP3(t, method)
				server := serveHTTP3(t, e.serverConfig(t))
				client.ask(t, server, 30)
				server.check(t, method, 30)
			})
			t.Run("external cache and a restart", func(t *testing.T) {
				store, keys := memstore.New(memstore.Config{}), external.GenerateKeys(time.Now())
				e, client := newHTTP3(t, method)
				var both http3Server
				for range 2 { // two processes, one after the other
					sessions, err := external.New(store, external.Config{Keys: keys, WriteThrough: time.Second})
					if err != nil {
						t.Fatal(err)
					}
					e.cache, err = halfshake.New(halfshake.Config{Scope: "interop", Callbacks: sessions.Callbacks()})
					if err != nil {
						t.Fatal(err)
					}
					server := serveHTTP3(t, e.serverConfig(t))
					client.ask(t, server, 15)
					server.close()
					both.resumed.Add(server.resumed.Load())
					both.early.Add(server.early.Load())
					if err := e.cache.Close(); err != nil {
						t.Error(err)
					}
					if err := sessions.Close(); err != nil {
						t.Error(err)
					}
				}
				both.check(t, method, 30)
			})
		})
	}
}

type http3Server struct {
	addr    net.Addr
	resumed atomic.Int64 // requests on a resumed connection
	early   atomic.Int64 // requests before the handshake was complete
	close   func()
}

// serveHTTP3 runs a server until the test ends, or close is called.
func serveHTTP3(t *testing.T, config *tls.Config) *http3Server {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http3Server{addr: socket.LocalAddr()}
	server := &http3.Server{TLSConfig: config, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS.DidResume {
			s.resumed.Add(1)
		}
		if !r.TLS.HandshakeComplete {
			s.early.Add(1)
		}
		fmt.Fprint(w, "hello")
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(socket)
	}()
	closed := false
	s.close = func() {
		if !closed {
			closed = true
			_ = server.Close()
			_ = socket.Close()
			<-served
		}
	}
	t.Cleanup(s.close)
	return s
}

// check expects n requests, of which all but the first resumed, and early data where the method allows it.
func (s *http3Server) check(t *testing.T, method string, n int64) {
	t.Helper()
	resumed, early := s.resumed.Load(), s.early.Load()
	if resumed != n-1 {
		t.Errorf("%d of %d connections resumed, want all but the first", resumed, n)
	}
	if (early > 0) != (method == http3.MethodGet0RTT) {
		t.Errorf("%d of %d requests came as early data, with %s", early, n, method)
	}
}

// http3Client is a process of package http3client.
type http3Client struct {
	in  io.Writer
	out *bufio.Reader
}

// newHTTP3 returns the server's side and starts the client, which ends with the test.
func newHTTP3(t *testing.T, method string) (*endpoints, *http3Client) {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "http3client")
	if out, err := exec.Command("go", "build", "-o", binary, "./http3client").CombinedOutput(); err != nil {
		t.Fatalf("build the client: %v\n%s", err, out)
	}
	e := newEndpoints(t, tls.VersionTLS13)
	servers := newAuthority("server authority", testca.ECDSA)
	e.server.Certificates = []tls.Certificate{servers.server()}
	process := exec.Command(binary, "-roots", servers.writeRoot(t), "-name", serverName, "-method", method)
	in, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // the end of its work
		if err := process.Wait(); err != nil {
			t.Errorf("the client: %v", err)
		}
	})
	return e, &http3Client{in, bufio.NewReader(out)}
}

// ask has the client make n requests.
func (c *http3Client) ask(t *testing.T, server *http3Server, n int) {
	t.Helper()
	for i := range n {
		fmt.Fprintf(c.in, "https://%s\n", server.addr)
		answer, err := c.out.ReadString('\n')
		if err != nil {
			t.Fatalf("request %d: the client ended: %v", i, err)
		}
		if answer = strings.TrimSuffix(answer, "\n"); answer != "ok" {
			t.Errorf("request %d: %s", i, answer)
		}
	}
}
