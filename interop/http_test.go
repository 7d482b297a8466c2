package interop

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
)

// TestHTTP has net/http's client resume with net/http's server, for each way to add a Cache to a server.
func TestHTTP(t *testing.T) {
	for _, server := range []struct {
		name  string
		serve func(*testing.T, *endpoints, *http.Server) net.Addr
	}{
		{"ListenAndServeTLS", listenAndServeTLS},
		{"Serve over NewListener", serveOverListener},
	} {
		for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
			t.Run(server.name+"/"+protocol, func(t *testing.T) {
				eachKind(t, bothVersions, func(t *testing.T, e *endpoints) {
					addr := server.serve(t, e, &http.Server{Handler: http.HandlerFunc(describe)})
					e.check(t, func() tls.ConnectionState { return get(t, e, protocol, addr) })
				})
			})
		}
	}
}

// describe answers with what the server sees of a connection.
func describe(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, description(r.Proto, *r.TLS))
}

func description(protocol string, state tls.ConnectionState) string {
	if state.DidResume {
		return protocol + ", resumed"
	}
	return protocol + ", full"
}

// listenAndServeTLS has the server listen, with the configuration of ServerConfig and the certificate in files.
func listenAndServeTLS(t *testing.T, e *endpoints, server *http.Server) net.Addr {
	t.Helper()
	files := writeFiles(t, e.server.Certificates[0])
	e.server.Certificates = nil
	listening := make(chan net.Addr, 1)
	server.Addr = "127.0.0.1:0"
	server.TLSConfig = e.serverConfig(t)
	server.BaseContext = func(l net.Listener) context.Context {
		listening <- l.Addr()
		return context.Background()
	}
	ended := serveHTTP(t, server, func() error { return server.ListenAndServeTLS(files.chain, files.key) })
	select {
	case addr := <-listening:
		return addr
	case err := <-ended:
		t.Fatalf("server: %v", err)
		return nil
	}
}

// serveOverListener has the server serve a listener made by the Cache.
func serveOverListener(t *testing.T, e *endpoints, server *http.Server) net.Addr {
	t.Helper()
	e.server.NextProtos = []string{"h2", "http/1.1"}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := e.cache.NewListener(inner, e.server)
	if err != nil {
		_ = inner.Close()
		t.Fatal(err)
	}
	serveHTTP(t, server, func() error { return server.Serve(listener) })
	return listener.Addr()
}

// serveHTTP runs serve until the test ends, and then closes the server. If serve returns earlier, the channel receives
// its error.
func serveHTTP(t *testing.T, server *http.Server, serve func() error) <-chan error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- serve() }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("server: %v", err)
		}
	})
	return ended
}

// get sends one request over a new connection with the given protocol, and returns the connection's state.
func get(t *testing.T, e *endpoints, protocol string, addr net.Addr) tls.ConnectionState {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: e.client, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(protocol == "HTTP/1.1")
	transport.Protocols.SetHTTP2(protocol == "HTTP/2.0")
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: libraryLimit}
	response, err := client.Get("https://" + addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if want := description(protocol, *response.TLS); string(body) != want || response.Proto != protocol {
		t.Errorf("the server saw %q and the client %q", body, description(response.Proto, *response.TLS))
	}
	return *response.TLS
}
