package halfshake

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"sync"
	"testing"
	"unsafe"
)

// Many connections resume one TLS 1.2 session at once, and many resume others:
// each answer keeps its session's id, and nothing is left in the table.
func TestInFlightConcurrently(t *testing.T) {
	for _, name := range []string{"a.example", ""} {
		inFlightConcurrently(t, name)
	}
}

func inFlightConcurrently(t *testing.T, serverName string) {
	c := newCache(t, Config{})
	open := viaConfig.open(t, c, serverConfig())
	var clients []*client
	for range 4 {
		cl := newClient(tls.VersionTLS12)
		cl.serverName = serverName
		connectOK(t, open, cl)
		clients = append(clients, cl)
	}
	var wg sync.WaitGroup
	for i := range 64 {
		cl := *clients[i%len(clients)]
		cl.jar = &jar{session: cl.jar.session}
		wg.Go(func() {
			id := string(cl.jar.id())
			if o := connect(t, open, &cl); !o.resumed || string(cl.jar.id()) != id {
				t.Errorf("resumed %v with its id %v: %v", o.resumed, string(cl.jar.id()) == id, o.clientErr)
			}
		})
	}
	wg.Wait()
	if st := c.Stats(); st.Number != 4 || st.Hits != 64 {
		t.Errorf("%+v", st)
	}
	if n := c.join.len(); n != 0 {
		t.Errorf("%d handshakes left", n)
	}
}

// Handshakes that fail are pushed out: the table is bounded, and what is young enough
// is still found.
func TestJoinIsBounded(t *testing.T) {
	j, h := newJoin(), &sharedHandshake{}
	key := func(i int) joinKey { return j.secretKey(fmt.Appendf(nil, "secret %d", i)) }
	for i := range 10 * maxJoined {
		j.put(key(i), h)
		if n := j.len(); n > 2*maxJoined {
			t.Fatalf("%d handshakes after %d", n, i)
		}
	}
	last := 10*maxJoined - 1
	take := func(i int) *sharedHandshake { return j.take(key(i)) }
	if take(last-maxJoined+1) != h || take(last) != h || take(last) != nil || take(0) != nil {
		t.Error("take: want the young, once, and not the old")
	}
	j.put(key(1), h)
	j.put(key(1), h)
	for i, want := range []*sharedHandshake{h, h, nil} {
		if take(1) != want {
			t.Errorf("take %d of two handshakes of one session", i)
		}
	}
}

// A handshake that fails keeps the session's id, and not the piece of memory that the
// id is in together with the secret.
func TestJoinKeepsNoSecret(t *testing.T) {
	for _, name := range []string{"", "a.example"} {
		c := newCache(t, Config{})
		made := madeUnder(t, c, serverConfig(), tls.VersionTLS12)
		moved := *made
		moved.serverName, moved.scope = name, policyWith(serverConfig(), "", "").digest(name)
		c.Remove(made)
		moved.serial = nextSerial()
		c.Add(&moved)
		config := must(c.ServerConfig(serverConfig()))(t)
		hello := &tls.ClientHelloInfo{ServerName: strings.Clone(name)}
		config.GetConfigForClient(hello)
		cs := tls.ConnectionState{Version: tls.VersionTLS12, ServerName: hello.ServerName}
		ss, err := config.UnwrapSession(made.ID(), cs)
		if ss == nil || err != nil {
			t.Fatalf("not resumable: %v", err)
		}
		h := sharedHandshakes{c}.find(tls.ConnectionState{Version: tls.VersionTLS12, ServerName: hello.ServerName, DidResume: true},
			func() []byte { return secretOf(made.state) }).events()
		if h.parent == nil || h.parent.state != nil || h.parent.id != made.id {
			t.Errorf("name %q: the handshake keeps %v", name, h.parent)
		}
		if s, _ := c.Session(made.ID()); unsafe.StringData(s.withoutSecret().id) == unsafe.StringData(s.id) {
			t.Errorf("name %q: the id is in one piece of memory with the secret", name)
		}
	}
}

// What joins the hooks of a handshake is the same in all of them, and in those of no
// other: the parent's lineage is inherited by each of many handshakes at once, in both
// versions, with and without a server name and a client certificate. This is held for
// each release of Go.
func TestJoinTellsHandshakesApart(t *testing.T) {
	for _, version := range versions {
		for _, how := range []struct {
			name string
			cert bool
		}{{"a.example", false}, {"", true}, {"a.example", true}} {
			c := newCache(t, Config{Scope: "test"})
			config := serverConfig()
			if how.cert {
				config = verifying()
			}
			open := viaConfig.open(t, c, config)
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					cl := newClient(version)
					cl.serverName = how.name
					if how.cert {
						cl.withCert(clientCert)
					}
					var lineage Lineage
					for i := range 4 {
						o := connect(t, open, cl)
						s, ok := c.Session(cl.jar.id())
						if o.clientErr != nil || o.resumed != (i > 0) || !ok {
							t.Errorf("connection %d: resumed %v, %v; cached %v", i, o.resumed, o.clientErr, ok)
							return
						}
						if i > 0 && s.Lineage() != lineage {
							t.Errorf("connection %d is of another lineage", i)
						}
						lineage = s.Lineage()
					}
				})
			}
			wg.Wait()
			if n := c.join.len(); n != 0 {
				t.Errorf("%d handshakes left", n)
			}
		}
	}
}

// A handshake that fails keeps little of what its client has sent, 64 kB at the most.
// After a HelloRetryRequest the connection is not known under ServerConfig, but the parent
// is, and the other doors know both.
func TestHelloRetryRequest(t *testing.T) {
	for _, d := range doors {
		var infos []ConnInfo
		var made []*Session
		c := newCache(t, Config{Callbacks: Callbacks{New: func(_ context.Context, info ConnInfo, s *Session) bool {
			infos, made = append(infos, info), append(made, s)
			return true
		}}})
		config := serverConfig()
		config.CurvePreferences = []tls.CurveID{tls.CurveP521} // for which clients send no share
		open, cl := d.open(t, c, config), newClient(tls.VersionTLS13)
		for visit := range 2 {
			if resumed := connectOK(t, open, cl).resumed; resumed != (visit > 0) {
				t.Errorf("%s: visit %d: resumed %v", d.name, visit, resumed)
			}
		}
		if len(made) != 2 || made[0].Lineage() != made[1].Lineage() {
			t.Fatalf("%s: %d sessions, or of two lineages", d.name, len(made))
		}
		if known := infos[1].RemoteAddr != nil; known != (d.name != viaConfig.name) {
			t.Errorf("%s: the address is known: %v", d.name, known)
		}
	}
}

func TestJoinKeepsLittle(t *testing.T) {
	c := newCache(t, Config{})
	config := must(c.ServerConfig(serverConfig()))(t)
	long := &tls.ClientHelloInfo{ServerName: strings.Repeat("a", 60_000), CipherSuites: make([]uint16, 30_000)}
	config.GetConfigForClient(long)
	if n := c.join.len(); n != 0 {
		t.Errorf("a name of 60 kB is kept")
	}
	short := &tls.ClientHelloInfo{ServerName: strings.Clone("a.example"), CipherSuites: make([]uint16, 30_000)}
	config.GetConfigForClient(short)
	for _, e := range c.join.younger {
		if len(e.offered) != 0 {
			t.Errorf("%d suites are kept", len(e.offered))
		}
	}
	if n := c.join.len(); n != 1 {
		t.Errorf("%d handshakes", n)
	}
}
