package halfshake_test

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/sslsession"
)

// The certificates of the examples.
var (
	exampleCA  = testca.Root("example CA", testca.ECDSA)
	serverCert = exampleCA.Server()
	roots      = exampleCA.Pool()
	aliceCert  = exampleCA.Client("alice", time.Now().Add(time.Hour))
)

// newClient returns an HTTP client that makes a new connection for each request and
// offers its last session.
func newClient(certs ...tls.Certificate) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{
			RootCAs:            roots,
			Certificates:       certs,
			ClientSessionCache: tls.NewLRUClientSessionCache(1),
		},
	}}
}

// get requests the page at addr and prints it.
func get(client *http.Client, addr net.Addr) {
	response, err := client.Get("https://" + addr.String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	fmt.Print(string(text))
}

// resumed is a page that says whether its connection resumed a session.
var resumed = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s, resumed: %v\n", r.Proto, r.TLS.DidResume)
})

// A server that verifies client certificates. The client proves who it is once, and
// offers 32 bytes from then on.
func Example() {
	cache, _ := halfshake.New(halfshake.Config{Scope: "payments"})
	defer cache.Close()
	config, _ := cache.ServerConfig(&tls.Config{
		Certificates: []tls.Certificate{serverCert},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    roots,
	})
	server := &http.Server{TLSConfig: config, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s, resumed: %v\n", r.TLS.PeerCertificates[0].Subject.CommonName, r.TLS.DidResume)
	})}
	defer server.Close()
	listener, _ := net.Listen("tcp", "127.0.0.1:0")
	go server.ServeTLS(listener, "", "")

	client := newClient(aliceCert)
	for range 2 {
		get(client, listener.Addr())
	}
	// Output:
	// hello alice, resumed: false
	// hello alice, resumed: true
}

// An external cache, here a map, that two servers share. Remove deletes a session only
// if its cause ends it: the first server removes its session from its own memory when
// its Cache is closed, and the second still finds it.
func ExampleCallbacks() {
	var db sync.Map // from id to encoded session, which a real database gets encrypted
	callbacks := halfshake.Callbacks{
		New: func(_ context.Context, _ halfshake.ConnInfo, s *halfshake.Session) (keep bool) {
			if record, err := s.MarshalBinary(); err == nil {
				db.Store(string(s.ID()), record)
			}
			return true // false would remove the session from the Cache
		},
		Get: func(_ context.Context, _ halfshake.ConnInfo, id []byte) (*halfshake.Session, error) {
			record, ok := db.Load(string(id))
			if !ok {
				return nil, nil
			}
			return halfshake.ParseSession(record.([]byte))
		},
		Remove: func(_ context.Context, _ *halfshake.Cache, s *halfshake.Session, cause halfshake.Cause) {
			if cause.EndsSession() {
				db.Delete(string(s.ID()))
			}
		},
	}

	client := newClient()
	for range 2 {
		cache, _ := halfshake.New(halfshake.Config{Callbacks: callbacks})
		config, _ := cache.ServerConfig(&tls.Config{Certificates: []tls.Certificate{serverCert}})
		server := &http.Server{TLSConfig: config, Handler: resumed}
		listener, _ := net.Listen("tcp", "127.0.0.1:0")
		go server.ServeTLS(listener, "", "")
		get(client, listener.Addr())
		server.Close()
		cache.Close()
	}
	// Output:
	// HTTP/1.1, resumed: false
	// HTTP/1.1, resumed: true
}

// A listener for net/http. HTTP/2 needs NextProtos, and Serve, since the connections
// already speak TLS.
func ExampleCache_NewListener() {
	cache, _ := halfshake.New(halfshake.Config{SessionIDs: halfshake.SessionIDsTicketless})
	defer cache.Close()
	inner, _ := net.Listen("tcp", "127.0.0.1:0")
	listener, _ := cache.NewListener(inner, &tls.Config{
		Certificates: []tls.Certificate{serverCert},
		NextProtos:   []string{"h2", "http/1.1"},
	})
	server := &http.Server{Handler: resumed}
	defer server.Close()
	go server.Serve(listener)

	client := newClient()
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	for range 2 {
		get(client, listener.Addr())
	}
	// Output:
	// HTTP/2.0, resumed: false
	// HTTP/2.0, resumed: true
}

// A server that handles each connection itself and compares lineages, as an FTPS server
// does: a data connection must come from the client of the control connection.
func ExampleCache_Server() {
	cache, _ := halfshake.New(halfshake.Config{})
	defer cache.Close()
	config := &tls.Config{Certificates: []tls.Certificate{serverCert}}
	listener, _ := net.Listen("tcp", "127.0.0.1:0")
	defer listener.Close()
	accept := func() (lineage halfshake.Lineage) {
		raw, _ := listener.Accept()
		conn, _ := cache.Server(raw, config)
		defer conn.Close()
		if err := conn.Handshake(); err != nil {
			fmt.Println(err)
		}
		if session, ok := halfshake.SessionOf(conn); ok {
			lineage = session.Lineage()
		}
		return lineage
	}
	go func() {
		client := &tls.Config{RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		for range 2 {
			conn, _ := tls.Dial("tcp", listener.Addr().String(), client)
			io.Copy(io.Discard, conn) // the session comes with what the server sends
			conn.Close()
		}
	}()

	control, data := accept(), accept()
	fmt.Println("the same client:", control == data)
	// Output:
	// the same client: true
}

// Authorize refuses resumption to clients that are not in the directory any more. They
// make a full handshake, in which the server's other checks decide.
func ExampleConfig_authorize() {
	var directory sync.Map // of users
	directory.Store("alice", true)
	cache, _ := halfshake.New(halfshake.Config{
		Scope: "payments",
		Authorize: func(_ halfshake.ConnInfo, s *halfshake.Session) bool {
			_, ok := directory.Load(s.PeerCertificates()[0].Subject.CommonName)
			return ok
		},
	})
	defer cache.Close()
	listener, stop := servePayments(cache)
	defer stop()

	client := newClient(aliceCert)
	get(client, listener.Addr())
	get(client, listener.Addr())
	directory.Delete("alice")
	get(client, listener.Addr())
	// Output:
	// HTTP/1.1, resumed: false
	// HTTP/1.1, resumed: true
	// HTTP/1.1, resumed: false
}

// Revoking one user. New notes which lineages are the user's, and RemoveLineage ends
// all their sessions.
func ExampleCache_RemoveLineage() {
	var mu sync.Mutex
	lineages := map[string][]halfshake.Lineage{} // by user
	cache, _ := halfshake.New(halfshake.Config{
		Scope: "payments",
		Callbacks: halfshake.Callbacks{New: func(_ context.Context, _ halfshake.ConnInfo, s *halfshake.Session) (keep bool) {
			user := s.PeerCertificates()[0].Subject.CommonName
			mu.Lock()
			defer mu.Unlock()
			if known := lineages[user]; !slices.Contains(known, s.Lineage()) {
				lineages[user] = append(known, s.Lineage())
			}
			return true
		}},
	})
	defer cache.Close()
	listener, stop := servePayments(cache)
	defer stop()

	client := newClient(aliceCert)
	get(client, listener.Addr())
	get(client, listener.Addr())
	mu.Lock()
	for _, lineage := range lineages["alice"] {
		if err := cache.RemoveLineage(lineage); err != nil {
			fmt.Println(err)
		}
	}
	mu.Unlock()
	get(client, listener.Addr())
	// Output:
	// HTTP/1.1, resumed: false
	// HTTP/1.1, resumed: true
	// HTTP/1.1, resumed: false
}

// A client of one server. The second connection offers the session of the first. With the
// callbacks of an external cache, such as boltstore's, so does the next run of the program.
func ExampleCache_ClientConfig() {
	server, _ := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{serverCert}})
	defer server.Close()
	go http.Serve(server, resumed)

	cache, _ := halfshake.New(halfshake.Config{Mode: halfshake.ModeClient})
	defer cache.Close()
	config, _ := cache.ClientConfig(&tls.Config{RootCAs: roots}, server.Addr().String())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: config}}
	for range 2 {
		get(client, server.Addr())
	}
	// Output:
	// HTTP/1.1, resumed: false
	// HTTP/1.1, resumed: true
}

// servePayments starts a server that requires client certificates.
func servePayments(cache *halfshake.Cache) (net.Listener, func() error) {
	config, _ := cache.ServerConfig(&tls.Config{
		Certificates: []tls.Certificate{serverCert},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    roots,
	})
	server := &http.Server{TLSConfig: config, Handler: resumed}
	listener, _ := net.Listen("tcp", "127.0.0.1:0")
	go server.ServeTLS(listener, "", "")
	return listener, server.Close
}

// A Go server and C servers on OpenSSL share a directory of sessions in DER. Each resumes
// the sessions of the others, in TLS 1.2 by session id and in TLS 1.3.
func ExampleCache_Import() {
	dir, _ := os.MkdirTemp("", "sessions")
	defer os.RemoveAll(dir)
	file := func(id []byte) string { return filepath.Join(dir, hex.EncodeToString(id)) }

	config := &tls.Config{Certificates: []tls.Certificate{serverCert}}
	with := halfshake.Exchange{Config: config, IDContext: []byte("ftp"), ServerName: "localhost"}
	cache, _ := halfshake.New(halfshake.Config{SessionIDs: halfshake.SessionIDsAlways})
	defer cache.Close()
	cache.SetNewCallback(func(_ context.Context, _ halfshake.ConnInfo, s *halfshake.Session) bool {
		exported, err := cache.Export(s, with)
		if err != nil {
			return false
		}
		der, err := exported.Marshal()
		part := file(s.ID()) + ".part"
		return err == nil && os.WriteFile(part, der, 0o600) == nil && os.Rename(part, file(s.ID())) == nil
	})
	cache.SetGetCallback(func(_ context.Context, _ halfshake.ConnInfo, id []byte) (*halfshake.Session, error) {
		der, err := os.ReadFile(file(id))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		exported, err := sslsession.Parse(der)
		if err != nil {
			return nil, err
		}
		s, _ := cache.Import(exported, with) // nil if it is not for this server
		return s, nil
	})
	cache.SetRemoveCallback(func(_ context.Context, _ *halfshake.Cache, s *halfshake.Session, cause halfshake.Cause) {
		if cause.EndsSession() {
			os.Remove(file(s.ID()))
		}
	})

	inner, _ := net.Listen("tcp", "127.0.0.1:0")
	listener, _ := cache.NewListener(inner, config)
	server := &http.Server{Handler: resumed}
	go server.Serve(listener)
	defer server.Close()
	client := newClient()
	client.Transport.(*http.Transport).TLSClientConfig.ServerName = "localhost"
	get(client, inner.Addr())
	cache.SetMode(halfshake.ModeServer | halfshake.ModeNoInternalLookup) // as another server would
	get(client, inner.Addr())
	// Output:
	// HTTP/1.1, resumed: false
	// HTTP/1.1, resumed: true
}
