package interop

import (
	"crypto/tls"
	"log/slog"
	"testing"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/internal/testsecrets"
)

const libraryLimit = 20 * time.Second // for each connection of a library's test

// endpoints holds a Cache and the configurations of both ends of its connections. The client keeps its sessions.
type endpoints struct {
	cache  *halfshake.Cache
	server *tls.Config // as a user writes it, without the Cache
	client *tls.Config
}

// eachKind runs check as a subtest for each version, without and with a client certificate.
func eachKind(t *testing.T, versions []uint16, check func(*testing.T, *endpoints)) {
	for _, version := range versions {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Run("server certificate", func(t *testing.T) {
				check(t, newEndpoints(t, version))
			})
			t.Run("both certificates", func(t *testing.T) {
				e := newEndpoints(t, version)
				e.requireClientCertificate(t)
				check(t, e)
			})
		})
	}
}

var bothVersions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

func newEndpoints(t *testing.T, version uint16) *endpoints {
	t.Helper()
	cache, err := halfshake.New(halfshake.Config{
		Scope:  "interop",
		Logger: slog.New(slog.NewTextHandler(testsecrets.LogWriter(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cache.Close(); err != nil {
			t.Errorf("close cache: %v", err)
		}
	})
	servers := newAuthority("server authority", testca.ECDSA)
	return &endpoints{
		cache:  cache,
		server: &tls.Config{Certificates: []tls.Certificate{servers.server()}},
		client: &tls.Config{
			RootCAs: servers.root.Pool(), ServerName: serverName, MinVersion: version, MaxVersion: version,
			ClientSessionCache: tls.NewLRUClientSessionCache(0), KeyLogWriter: testsecrets.KeyLog(),
		},
	}
}

func (e *endpoints) requireClientCertificate(t *testing.T) {
	t.Helper()
	clients := newAuthority("client authority", testca.ECDSA)
	e.server.ClientCAs, e.server.ClientAuth = clients.root.Pool(), tls.RequireAndVerifyClientCert
	e.client.Certificates = []tls.Certificate{clients.client()}
}

// serverConfig is the server's configuration with the Cache in it.
func (e *endpoints) serverConfig(t *testing.T) *tls.Config {
	t.Helper()
	config, err := e.cache.ServerConfig(e.server)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// check makes two connections with connect, which returns the client's state. It expects only the second to resume.
func (e *endpoints) check(t *testing.T, connect func() tls.ConnectionState) {
	t.Helper()
	for i, resumed := range []bool{false, true} {
		state := connect()
		if state.DidResume != resumed {
			t.Errorf("connection %d: resumed is %t, want %t", i+1, state.DidResume, resumed)
		}
		if state.Version != e.client.MinVersion {
			t.Errorf("connection %d: %s, want %s", i+1,
				tls.VersionName(state.Version), tls.VersionName(e.client.MinVersion))
		}
		if hits := e.cache.Stats().Hits; int(hits) != i {
			t.Errorf("connection %d: the cache counted %d hits, want %d", i+1, hits, i)
		}
	}
	for session := range e.cache.Sessions() {
		testsecrets.Record(session.ID())
	}
}
