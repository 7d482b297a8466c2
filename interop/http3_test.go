package interop

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"crypto/tls"

	"github.com/quic-go/quic-go/http3"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/external"
	"github.com/halfshake/halfshake/external/memstore"
)

// TestHTTP3 has an http3.Transport make requests of an http3.Server, both left at their defaults: the server advertises
// early data, and the client sends it with a session that allows it. Each request has a connection of its own, so each
// but the first resumes. The server restarts half-way, where its sessions are in an external cache. http3.MethodGet0RTT
// is not tested: the race detector finds a race in quic-go's own client (handleTransportParameters and
// newFlowController); TestQUIC has early data that is taken.
func TestHTTP3(t *testing.T) {
	t.Run("internal cache", func(t *testing.T) {
		e := newEndpoints(t, tls.VersionTLS13)
		server := serveHTTP3(t, e.serverConfig(t))
		if resumed := server.ask(t, e.client, 30); resumed != 29 {
			t.Errorf("%d of 30 connections resumed, want all but the first", resumed)
		}
	})
	t.Run("external cache and a restart", func(t *testing.T) {
		store, keys := memstore.New(memstore.Config{}), external.GenerateKeys(time.Now())
		e := newEndpoints(t, tls.VersionTLS13)
		resumed := 0
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
			resumed += server.ask(t, e.client, 15)
			server.close()
			if err := e.cache.Close(); err != nil {
				t.Error(err)
			}
			if err := sessions.Close(); err != nil {
				t.Error(err)
			}
		}
		if resumed != 29 {
			t.Errorf("%d of 30 connections resumed, want all but the first", resumed)
		}
	})
}

type http3Server struct {
	addr    net.Addr
	resumed atomic.Int64 // requests on a resumed connection
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

// ask makes n requests, each on a connection of its own, and returns how many resumed.
func (s *http3Server) ask(t *testing.T, config *tls.Config, n int) int {
	t.Helper()
	before := s.resumed.Load()
	for i := range n {
		if err := s.askOnce(config); err != nil {
			t.Errorf("request %d: %v", i, err)
		}
	}
	return int(s.resumed.Load() - before)
}

func (s *http3Server) askOnce(config *tls.Config) error {
	sessions := &notifyingCache{config.ClientSessionCache, make(chan struct{}, 16)}
	config = config.Clone()
	config.ClientSessionCache = sessions
	transport := &http3.Transport{TLSClientConfig: config}
	defer transport.Close()
	request, err := http.NewRequest(http.MethodGet, "https://"+s.addr.String(), nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: transport, Timeout: libraryLimit}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "hello" {
		return fmt.Errorf("the answer is %q, %v", body, err)
	}
	select {
	case <-sessions.put:
		return nil
	case <-time.After(libraryLimit):
		return fmt.Errorf("the server gave the client no session")
	}
}
