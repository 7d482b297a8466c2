package external_test

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/external"
	"github.com/halfshake/halfshake/external/memstore"
	"github.com/halfshake/halfshake/external/storetest"
	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/internal/testsecrets"
)

// A clientSite is a server and the processes of a client, one after the other, over one
// store.
type clientSite struct {
	testing.TB
	store  external.Store
	keys   *external.KeyRing
	base   *tls.Config
	server *tls.Config

	mu      sync.Mutex
	offered int // of the server's connections that resumed
}

func newClientSite(t testing.TB, version uint16, store external.Store) *clientSite {
	ca := testca.Root("client site", testca.ECDSA)
	return &clientSite{
		TB: t, store: store, keys: external.GenerateKeys(time.Now()),
		base:   &tls.Config{RootCAs: ca.Pool(), ServerName: "a.example", MinVersion: version, MaxVersion: version, KeyLogWriter: testsecrets.KeyLog()},
		server: &tls.Config{Certificates: []tls.Certificate{ca.Server("a.example")}},
	}
}

// A clientProcess is one of them.
type clientProcess struct {
	*clientSite
	sessions *external.External
	cache    *halfshake.Cache
	config   *tls.Config
}

func (s *clientSite) start() *clientProcess {
	s.Helper()
	quiet := slog.New(slog.DiscardHandler)
	sessions, err := external.New(s.store, external.Config{Keys: s.keys, Logger: quiet})
	if err != nil {
		s.Fatal(err)
	}
	callbacks := sessions.Callbacks()
	keep := callbacks.New
	callbacks.New = func(ctx context.Context, info halfshake.ConnInfo, session *halfshake.Session) bool {
		testsecrets.Record(session.ID())
		return keep(ctx, info, session)
	}
	cache, err := halfshake.New(halfshake.Config{Mode: halfshake.ModeClient, Callbacks: callbacks, Logger: quiet})
	if err != nil {
		s.Fatal(err)
	}
	config, err := cache.ClientConfig(s.base, "a.example:443")
	if err != nil {
		s.Fatal(err)
	}
	return &clientProcess{s, sessions, cache, config}
}

func (p *clientProcess) end() {
	p.cache.Close()
	p.sessions.Close()
}

// visit makes one connection, which must succeed.
func (p *clientProcess) visit() (resumed bool) {
	p.Helper()
	near, far := net.Pipe()
	deadline := time.Now().Add(20 * time.Second)
	near.SetDeadline(deadline)
	far.SetDeadline(deadline)
	done := make(chan struct{})
	go func() {
		defer close(done)
		server := tls.Server(far, p.server)
		defer far.Close()
		if _, err := server.Write([]byte{1}); err == nil {
			io.Copy(io.Discard, server)
		}
	}()
	conn := tls.Client(near, p.config)
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		p.Errorf("a client's connection failed: %v", err)
	}
	resumed = conn.ConnectionState().DidResume
	near.Close()
	<-done
	return resumed
}

func forBothVersions(t *testing.T, f func(*testing.T, uint16)) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) { f(t, version) })
	}
}

// Every run of a client but the first resumes the session of the run before.
func TestClientSurvivesRestarts(t *testing.T) {
	forBothVersions(t, func(t *testing.T, version uint16) {
		site := newClientSite(t, version, memstore.New(memstore.Config{}))
		for i := range 4 {
			p := site.start()
			if resumed := p.visit(); resumed != (i > 0) {
				t.Errorf("run %d: resumed %v", i+1, resumed)
			}
			p.end()
		}
	})
}

// Two processes over one store never offer the same TLS 1.3 session: of each session one
// of them resumes, and no ticket is seen twice.
func TestTwoClientsShareNoSession(t *testing.T) {
	site := newClientSite(t, tls.VersionTLS13, memstore.New(memstore.Config{}))
	seen := make(map[string]int)
	site.server.UnwrapSession = func(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		site.mu.Lock()
		defer site.mu.Unlock()
		seen[string(identity)]++
		site.offered++
		return site.server.DecryptTicket(identity, cs)
	}
	site.server.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		return site.server.EncryptTicket(cs, ss)
	}
	first := site.start()
	for range 4 { // as many sessions as a destination has
		tickets := site.start()
		tickets.config.ClientSessionCache = onlyPut{tickets.config.ClientSessionCache}
		tickets.visit()
		tickets.end()
	}
	second := site.start()
	var both sync.WaitGroup
	for _, p := range []*clientProcess{first, second} {
		both.Go(func() {
			for range 20 {
				p.visit()
			}
		})
	}
	both.Wait()
	first.end()
	second.end()
	for _, n := range seen {
		if n != 1 {
			t.Fatalf("a ticket was offered %d times", n)
		}
	}
	if site.offered < 20 {
		t.Errorf("only %d of 40 connections offered a session", site.offered)
	}
}

// onlyPut stores sessions and offers none.
type onlyPut struct{ tls.ClientSessionCache }

func (onlyPut) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

// A client whose store is dead, hung, full or lying makes full handshakes, each within
// the deadline of callbacks.
func TestClientWithAFaultyStore(t *testing.T) {
	forBothVersions(t, func(t *testing.T, version uint16) {
		store := storetest.NewFaulty(memstore.New(memstore.Config{}))
		site := newClientSite(t, version, store)
		p := site.start()
		defer p.end()
		p.visit()
		for fault := storetest.Fail; fault <= storetest.Nil; fault++ {
			if fault == storetest.Stuck { // Close would wait for it
				continue
			}
			store.SetAll(fault)
			for range 2 {
				start := time.Now()
				p.visit()
				if took := time.Since(start); took > 3*time.Second {
					t.Errorf("%v: a connection took %v", fault, took)
				}
			}
			store.Heal()
		}
	})
}
