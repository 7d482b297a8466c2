package halfshake

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/sessionstate"
)

// onlySession returns the one session of a cache.
func onlySession(t testing.TB, c *Cache) *Session {
	t.Helper()
	all := slices.Collect(c.Sessions())
	if len(all) != 1 {
		t.Fatalf("%d sessions, want 1", len(all))
	}
	return all[0]
}

// withWrongSecret returns the session with another secret, as a fault of memory that no
// checksum shows would leave it.
func withWrongSecret(s *Session) *Session {
	wrong := *s
	wrong.serial, wrong.state = nextSerial(), bytes.Clone(s.state)
	secret := clientSecret(wrong.state)
	secret[len(secret)/2] ^= 1
	return &wrong
}

// A session with a wrong secret costs one failed connection: the server must abort it (RFC
// 8446 section 4.2.11), and in TLS 1.2 the server's Finished is wrong. Then the session is
// gone.
func TestClientWrongSecret(t *testing.T) {
	forClients(t, func(t *testing.T, version uint16) {
		var gone removed
		c := newClientCache(t, Config{Callbacks: Callbacks{Remove: gone.note}})
		config, p := clientConfig(t, c, clientBase(version)), newPeer(serverConfig())
		p.visitOK(t, config)
		wrong := withWrongSecret(onlySession(t, c))
		recordClientSession(wrong)
		c.Add(wrong)
		if _, err := p.visit(t, config); err == nil {
			t.Fatal("a wrong secret resumed")
		}
		if n := c.Stats().Number; n != 0 {
			t.Errorf("%d sessions after the failed connection", n)
		}
		want := map[uint16]Cause{tls.VersionTLS12: CauseAlert, tls.VersionTLS13: CauseUsed}[version]
		if got := gone.all(); got[len(got)-1] != want {
			t.Errorf("removals %v", got)
		}
		for i := range 2 {
			if cs := p.visitOK(t, config); cs.DidResume != (i > 0) {
				t.Errorf("connection %d after the failure: resumed %v", i+1, cs.DidResume)
			}
		}
		if st := c.Stats(); st.Connect != 4 || st.ConnectGood != 4 && st.ConnectGood != 3 || st.Misses != 0 {
			t.Errorf("counters: %+v", st)
		}
	})
}

// A failed handshake does not cost the sessions of other connections that went well.
func TestClientFailureCostsNoGoodSession(t *testing.T) {
	c := newClientCache(t, Config{})
	config, p := clientConfig(t, c, clientBase(tls.VersionTLS12)), newPeer(serverConfig())
	for range 3 {
		p.visitOK(t, config)
	}
	config.ClientSessionCache.Put("a.example", nil) // as a handshake does that offered another
	if c.Stats().Number != 1 {
		t.Error("a session is gone that had resumed")
	}
}

// A session that was removed, by itself, with its lineage or with everything, is not
// offered any more, and nothing that descends from it is stored by a connection in flight.
func TestClientRemovals(t *testing.T) {
	forClients(t, func(t *testing.T, version uint16) {
		for name, remove := range map[string]func(*Cache, *Session){
			"Remove":        func(c *Cache, s *Session) { c.Remove(s) },
			"RemoveLineage": func(c *Cache, s *Session) { c.RemoveLineage(s.Lineage()) },
			"Flush":         func(c *Cache, s *Session) { c.Flush(time.Time{}) },
		} {
			c := newClientCache(t, Config{})
			base, p := clientBase(version), newPeer(serverConfig())
			p.visitOK(t, clientConfig(t, c, base))
			remove(c, onlySession(t, c))
			time.Sleep(2 * time.Millisecond) // a lineage begins after the floor
			if p.visitOK(t, clientConfig(t, c, base)).DidResume {
				t.Errorf("%s: resumed", name)
			}
			parent := onlySession(t, c)
			base.VerifyConnection = func(tls.ConnectionState) error { remove(c, parent); return nil }
			if !p.visitOK(t, clientConfig(t, c, base)).DidResume {
				t.Errorf("%s: a removal ended a connection that was under way", name)
			}
			if _, offers := p.seen(); len(offers) != 1 {
				t.Errorf("%s: %d offers", name, len(offers))
			}
			if n := rested(c).Number; n != 0 {
				t.Errorf("%s: %d sessions stored after the removal", name, n)
			}
		}
	})
}

// Modes at run time, as SSL_CTX_set_session_cache_mode(3) has them.
func TestClientModes(t *testing.T) {
	forClients(t, func(t *testing.T, version uint16) {
		var news int
		c := newClientCache(t, Config{Callbacks: Callbacks{New: func(context.Context, ConnInfo, *Session) bool { news++; return true }}})
		config, p := clientConfig(t, c, clientBase(version)), newPeer(serverConfig())
		p.visitOK(t, config)
		made := news
		for _, off := range []Mode{0, ModeOff, ModeServer} {
			c.SetMode(off)
			if p.visitOK(t, config).DidResume || news != made {
				t.Errorf("%v: resumed, or New was called", off)
			}
		}
		c.SetMode(ModeBoth)
		if !p.visitOK(t, config).DidResume {
			t.Error("not resumed with ModeBoth")
		}
		c.Flush(time.Time{})
		time.Sleep(2 * time.Millisecond)
		c.SetMode(ModeClient | ModeNoInternalStore)
		made = news
		p.visitOK(t, config)
		if news == made || c.Stats().Number != 0 {
			t.Errorf("NoInternalStore: New called %d times, %d stored", news-made, c.Stats().Number)
		}
		if p.visitOK(t, config).DidResume {
			t.Error("NoInternalStore: resumed")
		}
	})
}

// A client's sessions persist through New and Find. In TLS 1.3 Admit takes them, and the
// internal cache holds no copy.
func TestClientFind(t *testing.T) {
	forClients(t, func(t *testing.T, version uint16) {
		db := newClientDB()
		for i := range 4 {
			c := newClientCache(t, Config{Callbacks: db.callbacks()})
			config, p := clientConfig(t, c, clientBase(version)), db.peer
			if cs := p.visitOK(t, config); cs.DidResume != (i > 0) {
				t.Errorf("run %d: resumed %v", i+1, cs.DidResume)
			}
			if n := c.Stats().Number; n != uint64(map[uint16]int{tls.VersionTLS12: 1, tls.VersionTLS13: 0}[version]) {
				t.Errorf("%d sessions inside", n)
			}
			if st := c.Stats(); i > 0 && st.CBHits == 0 {
				t.Error("a session that Find returned is not counted")
			}
		}
		if version == tls.VersionTLS13 && len(db.sessions) != 1 {
			t.Errorf("%d sessions are left outside", len(db.sessions))
		}
	})
}

// Without Admit, nobody takes a TLS 1.3 session out of the external cache, so it is not
// offered. What Find answers beside the truth is not offered either.
func TestClientFindIsNotTrusted(t *testing.T) {
	forClients(t, func(t *testing.T, version uint16) {
		db := newClientDB()
		callbacks := db.callbacks()
		callbacks.Admit = nil
		c := newClientCache(t, Config{Callbacks: callbacks})
		p := db.peer
		config := clientConfig(t, c, clientBase(version))
		p.visitOK(t, config)
		other := newClientCache(t, Config{Callbacks: callbacks})
		if got := p.visitOK(t, clientConfig(t, other, clientBase(version))).DidResume; got != (version == tls.VersionTLS12) {
			t.Errorf("resumed without Admit: %v", got)
		}
		lies := db.callbacks()
		served := makesServerSession(t, version)
		lies.Find = func(context.Context, ConnInfo, [32]byte) ([]*Session, error) {
			var wrong []*Session
			for _, s := range db.sessions {
				elsewhere, halved, ticketless := *s, *s, *s
				ticketless.fields = nil
				elsewhere.scope[31] ^= 1
				halved.state = s.state[:len(s.state)/2]
				wrong = append(wrong, nil, &ticketless, &elsewhere, &halved, served)
			}
			return wrong, nil
		}
		liar := newClientCache(t, Config{Callbacks: lies})
		_, before := p.seen()
		p.visitOK(t, clientConfig(t, liar, clientBase(version)))
		if _, after := p.seen(); len(after) != len(before) {
			t.Error("offered what Find made up")
		}
		for name, find := range map[string]FindFunc{
			"panics": func(context.Context, ConnInfo, [32]byte) ([]*Session, error) { panic("db") },
			"fails":  func(context.Context, ConnInfo, [32]byte) ([]*Session, error) { return nil, fmt.Errorf("db") },
			"hangs": func(ctx context.Context, _ ConnInfo, _ [32]byte) ([]*Session, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			},
		} {
			faulty := db.callbacks()
			faulty.Find = find
			c := newClientCache(t, Config{Callbacks: faulty, CallbackTimeout: 100 * time.Millisecond, Logger: discard()})
			start := time.Now()
			p.visitOK(t, clientConfig(t, c, clientBase(version)))
			if took := time.Since(start); took > 5*time.Second || c.Stats().Refused[RefusedCallback] == 0 {
				t.Errorf("a Find that %s: %v", name, took)
			}
		}
	})
}

// makesServerSession returns a session of a server.
func makesServerSession(t testing.TB, version uint16) *Session {
	t.Helper()
	c := newCache(t, Config{})
	connectOK(t, viaConfig.open(t, c, serverConfig()), newClient(version))
	return onlySession(t, c)
}

// A clientDB is an external cache of a client.
type clientDB struct {
	peer     *peer
	mu       sync.Mutex
	sessions map[string]*Session
}

func newClientDB() *clientDB {
	return &clientDB{peer: newPeer(serverConfig()), sessions: make(map[string]*Session)}
}

func (db *clientDB) callbacks() Callbacks {
	return Callbacks{
		New: func(_ context.Context, _ ConnInfo, s *Session) bool {
			db.mu.Lock()
			defer db.mu.Unlock()
			db.sessions[s.id] = s
			return true
		},
		Find: func(_ context.Context, _ ConnInfo, scope [32]byte) (found []*Session, _ error) {
			db.mu.Lock()
			defer db.mu.Unlock()
			for _, s := range db.sessions {
				if s.Scope() == scope {
					found = append(found, s)
				}
			}
			return found, nil
		},
		Admit: func(_ context.Context, _ ConnInfo, s *Session) bool {
			db.mu.Lock()
			defer db.mu.Unlock()
			_, ok := db.sessions[s.id]
			if s.SingleUse() {
				delete(db.sessions, s.id)
			}
			return ok
		},
		Remove: func(_ context.Context, _ *Cache, s *Session, cause Cause) {
			db.mu.Lock()
			defer db.mu.Unlock()
			if cause.EndsSession() {
				delete(db.sessions, s.id)
			}
		},
	}
}

// A server's session is never offered by a client, and a client's never resumes in a
// server, whatever cache they are in.
func TestSidesAreKeptApart(t *testing.T) {
	forClients(t, func(t *testing.T, version uint16) {
		c := newClientCache(t, Config{Mode: ModeBoth})
		p := newPeer(serverConfig())
		config := clientConfig(t, c, clientBase(version))
		p.visitOK(t, config)
		ours := onlySession(t, c)
		if f := c.lookup(proposing(c, policyWith(serverConfig(), "", ""), ours, "a.example")); f != nil {
			t.Error("a client's session resumes in a server")
		}
		if _, ok := c.Session(ours.ID()); !ok || c.Stats().Refused[RefusedScope] != 1 {
			t.Error("a server's look-up removed it, or did not count")
		}
		base := clientBase(version)
		base.ClientSessionCache = c.Offer(makesServerSession(t, version))
		_, before := p.seen()
		p.visitOK(t, clientConfig(t, c, base))
		if _, after := p.seen(); len(after) != len(before) {
			t.Error("a server's session was offered")
		}
		// The same through the state's side alone, with all else equal.
		forged := *ours
		forged.state = bytes.Clone(ours.state)
		forged.state[2] = 1
		if _, err := sessionstate.ParseClient(forged.state); err == nil {
			t.Error("a server's state taken for a client's")
		}
		refused := c.Stats().Refused[RefusedScope]
		base.ClientSessionCache = c.Offer(&forged)
		p.visitOK(t, clientConfig(t, c, base))
		if n := c.Stats().Refused[RefusedScope]; n != refused+1 {
			t.Error("a server's session is not refused as such")
		}
	})
}

// Four sessions of one server are kept; the one that was made first leaves for the fifth.
func TestClientKeepsFour(t *testing.T) {
	var gone removed
	c := newClientCache(t, Config{Callbacks: Callbacks{Remove: gone.note}})
	config := clientConfig(t, c, clientBase(tls.VersionTLS13))
	takes := config.Clone()
	takes.ClientSessionCache = putOnly{config.ClientSessionCache}
	p := newPeer(serverConfig())
	for range 7 {
		p.visitOK(t, takes)
	}
	if n := c.Stats().Number; n != maxOffers || !slices.Equal(gone.all(), []Cause{CauseEvicted, CauseEvicted, CauseEvicted}) {
		t.Errorf("%d sessions; removals %v", n, gone.all())
	}
	newest := slices.MaxFunc(slices.Collect(c.Sessions()), func(x, y *Session) int { return int(x.serial) - int(y.serial) })
	p.visitOK(t, config)
	if _, offers := p.seen(); len(offers) != 1 || !bytes.Equal(offers[0], newest.field(fieldTicket)) {
		t.Error("the newest was not offered first")
	}
}

// putOnly stores sessions and offers none.
type putOnly struct{ tls.ClientSessionCache }

func (putOnly) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

// The index of what may be offered is bounded by the sessions in the cache.
func TestClientOffersAreBounded(t *testing.T) {
	c := newClientCache(t, Config{Size: 8})
	p := newPeer(serverConfig())
	p.visitOK(t, clientConfig(t, c, clientBase(tls.VersionTLS13)))
	s := onlySession(t, c)
	for i := range 1000 {
		other := *s
		other.serial, other.id = nextSerial(), fmt.Sprint("session ", i)
		other.scope[30], other.scope[31] = byte(i>>8), byte(i)
		c.Add(&other)
	}
	if n := len(c.offers.ids); n > 2*8+offersSlack {
		t.Errorf("%d scopes are remembered of 8 sessions", n)
	}
}

// What is remembered of a connection goes with it.
func TestClientConnectionsAreForgotten(t *testing.T) {
	forClients(t, func(t *testing.T, version uint16) {
		c := newClientCache(t, Config{})
		config, p := clientConfig(t, c, clientBase(version)), newPeer(serverConfig())
		for range 20 {
			p.visitOK(t, config)
		}
		for range 100 {
			if runtime.GC(); c.connections.len() == 0 {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("%d connections are still remembered", c.connections.len())
	})
}

// Many connections of one configuration at the same time: in TLS 1.3 no ticket is offered
// twice, in TLS 1.2 one session is shared and replaced, never written to. The race
// detector watches. OpenSSL CVE-2015-1791, CVE-2014-3509.
func TestCVE_2015_1791_ClientsShareASession(t *testing.T) {
	forClients(t, func(t *testing.T, version uint16) {
		c := newClientCache(t, Config{})
		config, p := clientConfig(t, c, clientBase(version)), newPeer(serverConfig())
		p.visitOK(t, config)
		inParallel(80, func() { p.visitOK(t, config) })
		_, offers := p.seen()
		seen := make(map[string]int)
		for _, id := range offers {
			seen[string(id)]++
		}
		for _, n := range seen {
			if n > 1 && version == tls.VersionTLS13 {
				t.Errorf("a ticket was offered %d times", n)
			}
		}
		st := c.Stats()
		if st.Hits == 0 || st.Connect != 81 || st.ConnectGood != 81 || int(st.Hits) != len(offers) {
			t.Errorf("%d offers; counters %+v", len(offers), st)
		}
	})
}

// Every 255th handshake of a client flushes what has expired (row 113).
func TestClientAutoClear(t *testing.T) {
	for _, mode := range []Mode{ModeClient, ModeClient | ModeNoAutoClear} {
		now := newClock()
		c := newClientCache(t, Config{Mode: mode, Time: now.Now})
		p := newPeer(serverConfig())
		elsewhere := clientBase(tls.VersionTLS12)
		elsewhere.ServerName = "b.example"
		p.visitOK(t, clientConfig(t, c, elsewhere))
		now.Advance(time.Hour)
		config := clientConfig(t, c, clientBase(tls.VersionTLS12))
		for range 253 {
			p.visitOK(t, config)
		}
		if n := rested(c).Number; n != 2 {
			t.Fatalf("%d sessions after 254 handshakes", n)
		}
		p.visitOK(t, config)
		if n := rested(c).Number; (n == 1) != (mode == ModeClient) {
			t.Errorf("%v: %d sessions after 255 handshakes", mode, n)
		}
	}
}

// An empty ticket in TLS 1.2 says to keep the old session (RFC 5077 section 3.3; row 158).
func TestClientEmptyTicket(t *testing.T) {
	c := newClientCache(t, Config{})
	config, p := clientConfig(t, c, clientBase(tls.VersionTLS12)), newPeer(serverConfig())
	p.visitOK(t, config)
	s := onlySession(t, c)
	empty, server, err := sessionstate.Offerable(s.state, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := c.newClientHandshake(&destination{serverName: "a.example"})
	c.connections.put(server, h)
	config.ClientSessionCache.Put("a.example", empty)
	if now := onlySession(t, c); now.id != s.id || now.serial != s.serial {
		t.Error("an empty ticket replaced the session")
	}
}

// Close ends the client's side too: connections go on, nothing is offered or stored.
func TestClientAfterClose(t *testing.T) {
	forClients(t, func(t *testing.T, version uint16) {
		c := newClientCache(t, Config{})
		config, p := clientConfig(t, c, clientBase(version)), newPeer(serverConfig())
		p.visitOK(t, config)
		c.Close()
		p.visitOK(t, config)
		if _, offers := p.seen(); len(offers) != 0 || c.Stats().Number != 0 {
			t.Errorf("%d offers, %d sessions", len(offers), c.Stats().Number)
		}
	})
}

// Halfshake's servers resume Halfshake's clients through every door of crypto/tls.
func TestClientOfHalfshakesServers(t *testing.T) {
	forEach(t, doors, func(t *testing.T, d door, version uint16) {
		server := newCache(t, Config{Scope: "server"})
		p := &peer{open: d.open(t, server, verifying())}
		c := newClientCache(t, Config{})
		base := clientBase(version)
		base.Certificates = []tls.Certificate{clientCert}
		config := clientConfig(t, c, base)
		for i := range 4 {
			if cs := p.visitOK(t, config); cs.DidResume != (i > 0) {
				t.Errorf("connection %d: resumed %v", i+1, cs.DidResume)
			}
		}
		if st := c.Stats(); st.Hits != 3 || server.Stats().Hits != 3 {
			t.Errorf("%d and %d hits", st.Hits, server.Stats().Hits)
		}
	})
}

// The sessions of a client show nothing in their printed forms, nor does what the
// configuration holds of them.
func TestClientSessionRedactsItself(t *testing.T) {
	c := newClientCache(t, Config{})
	base, p := clientBase(tls.VersionTLS13), newPeer(serverConfig())
	config := clientConfig(t, c, base)
	p.visitOK(t, config)
	s := onlySession(t, c)
	for _, v := range []any{s, *s, config.ClientSessionCache, c.Offer(s)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
			text := fmt.Sprintf(verb, v)
			if bytes.Contains([]byte(text), []byte(s.id)) || bytes.Contains([]byte(text), clientSecret(s.state)) ||
				bytes.Contains([]byte(text), fmt.Appendf(nil, "%x", clientSecret(s.state))) || bytes.Contains([]byte(text), fmt.Appendf(nil, "%x", s.id)) {
				t.Errorf("%T with %s shows a secret", v, verb)
			}
		}
	}
}
