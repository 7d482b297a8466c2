package external_test

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
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
	offered map[string]int // how often each ticket was
}

func newClientSite(t testing.TB, version uint16, store external.Store) *clientSite {
	ca := testca.Root("client site", testca.ECDSA)
	s := &clientSite{
		TB: t, offered: make(map[string]int), store: store, keys: external.GenerateKeys(time.Now()),
		base:   &tls.Config{RootCAs: ca.Pool(), ServerName: "a.example", MinVersion: version, MaxVersion: version, KeyLogWriter: testsecrets.KeyLog()},
		server: &tls.Config{Certificates: []tls.Certificate{ca.Server("a.example")}},
	}
	s.server.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		return s.server.EncryptTicket(cs, ss)
	}
	s.server.UnwrapSession = func(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(identity) > 0 {
			s.offered[string(identity)]++
		}
		return s.server.DecryptTicket(identity, cs)
	}
	return s
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

// visitMaking is visit, and returns the session that the connection made.
func (p *clientProcess) visitMaking() (made *halfshake.Session) {
	keep := p.cache.NewCallback()
	defer p.cache.SetNewCallback(keep)
	p.cache.SetNewCallback(func(ctx context.Context, info halfshake.ConnInfo, s *halfshake.Session) bool {
		made = s
		return keep(ctx, info, s)
	})
	p.visit()
	return made
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
	for _, n := range site.offered {
		if n != 1 {
			t.Fatalf("a ticket was offered %d times", n)
		}
	}
	if len(site.offered) < 20 {
		t.Errorf("only %d of 40 connections offered a session", len(site.offered))
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

// What a client has removed, by itself, with its lineage or with everything, is not offered
// by its next process.
func TestClientRemovalsOutliveTheProcess(t *testing.T) {
	forBothVersions(t, func(t *testing.T, version uint16) {
		for name, remove := range map[string]func(*halfshake.Cache, *halfshake.Session){
			"Remove":        func(c *halfshake.Cache, s *halfshake.Session) { c.Remove(s) },
			"RemoveLineage": func(c *halfshake.Cache, s *halfshake.Session) { c.RemoveLineage(s.Lineage()) },
			"Flush":         func(c *halfshake.Cache, _ *halfshake.Session) { c.Flush(time.Time{}) },
		} {
			site := newClientSite(t, version, memstore.New(memstore.Config{}))
			p := site.start()
			made := p.visitMaking()
			remove(p.cache, made)
			p.end()
			p = site.start()
			if p.visit() {
				t.Errorf("%s: resumed", name)
			}
			p.end()
		}
	})
}

// After a rotation the sessions of the key before are still found. Those of a key that is
// gone are not.
func TestClientAcrossRotations(t *testing.T) {
	site := newClientSite(t, tls.VersionTLS13, memstore.New(memstore.Config{}))
	run := func() (resumed bool) {
		p := site.start()
		defer p.end()
		return p.visit()
	}
	run()
	rotated, err := site.keys.Rotate(time.Now(), time.Now().Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	site.keys = rotated
	time.Sleep(1100 * time.Millisecond)
	if !run() {
		t.Error("the key before is not asked")
	}
	site.keys = external.GenerateKeys(time.Now())
	time.Sleep(2 * time.Millisecond)
	if run() {
		t.Error("resumed without the key")
	}
}

// The entries of a client that comes again and again do not pile up in the store.
func TestClientLeavesLittleInTheStore(t *testing.T) {
	forBothVersions(t, func(t *testing.T, version uint16) {
		store := memstore.New(memstore.Config{})
		site := newClientSite(t, version, store)
		for i := range 12 {
			p := site.start()
			if i%3 == 0 { // a run whose sessions are never used
				p.config.ClientSessionCache = onlyPut{p.config.ClientSessionCache}
			}
			p.visit()
			p.end()
		}
		if n := store.Len(); n > 4+1 {
			t.Errorf("%d entries, want at most four sessions and a list", n)
		}
	})
}

// Damage that the seal or the checksum shows is never offered.
func TestClientOffersNoDamage(t *testing.T) {
	forBothVersions(t, func(t *testing.T, version uint16) {
		for fault := storetest.OtherKey; fault <= storetest.Nil; fault++ {
			if fault == storetest.Older { // which is whole
				continue
			}
			store := storetest.NewFaulty(memstore.New(memstore.Config{}))
			site := newClientSite(t, version, store)
			other := newClientSite(t, version, store) // whose entries OtherKey returns
			other.keys = site.keys
			for _, s := range []*clientSite{other, site} {
				p := s.start()
				p.visit()
				p.end()
			}
			for first := range 2 { // the list is damaged, or the sessions are
				var gets atomic.Int64
				store.SetFunc(func(op storetest.Op, _ external.Key) storetest.Fault {
					if op == storetest.Get && int(gets.Add(1)) > first {
						return fault
					}
					return storetest.None
				})
				p := site.start()
				p.visit()
				store.SetAll(storetest.Drop) // what this process made is of no interest
				p.end()
				store.Heal()
			}
			if n := len(site.offered); n != 0 {
				t.Errorf("%v: %d offers", fault, n)
			}
		}
	})
}

// Of two processes that have found the same session, one may offer it in TLS 1.3. In TLS
// 1.2 both may.
func TestTwoClientsFindOneSession(t *testing.T) {
	forBothVersions(t, func(t *testing.T, version uint16) {
		site := newClientSite(t, version, memstore.New(memstore.Config{}))
		p := site.start()
		made := p.visitMaking()
		p.end()
		var found []*halfshake.Session
		var both []halfshake.Callbacks
		for range 2 {
			p := site.start()
			defer p.end()
			callbacks := p.sessions.Callbacks()
			all, err := callbacks.Find(t.Context(), halfshake.ConnInfo{}, made.Scope())
			if err != nil || len(all) != 1 {
				t.Fatalf("%d sessions found, %v", len(all), err)
			}
			found, both = append(found, all[0]), append(both, callbacks)
		}
		admitted := 0
		for i, callbacks := range both {
			if callbacks.Admit(t.Context(), halfshake.ConnInfo{}, found[i]) {
				admitted++
			}
		}
		if want := map[uint16]int{tls.VersionTLS12: 2, tls.VersionTLS13: 1}[version]; admitted != want {
			t.Errorf("%d admitted, want %d", admitted, want)
		}
	})
}
