package halfshake

import (
	"crypto/tls"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"weak"
)

// Many connections resume one TLS 1.2 session at once, and many resume others:
// each answer keeps its session's id, and nothing is left in the table.
func TestInFlightConcurrently(t *testing.T) {
	c := newCache(t, Config{})
	open := viaConfig.open(t, c, serverConfig())
	var clients []*client
	for range 4 {
		cl := newClient(tls.VersionTLS12)
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
	if n := len(c.inFlight.younger) + len(c.inFlight.older); n != 0 {
		t.Errorf("%d flights left", n)
	}
}

// Sessions that crypto/tls does not resume after all are pushed out: the table is
// bounded, and what is young enough is still found.
func TestInFlightIsBounded(t *testing.T) {
	f, s := newInFlight(), "id"
	secret := func(i int) []byte { return fmt.Appendf(nil, "secret %d", i) }
	for i := range 10 * maxInFlight {
		f.put(secret(i), s)
		if n := len(f.younger) + len(f.older); n > 2*maxInFlight {
			t.Fatalf("%d flights after %d", n, i)
		}
	}
	last := 10*maxInFlight - 1
	take := func(i int) string { return f.take(secret(i)) }
	if take(last-maxInFlight+1) != s || take(last) != s || take(last) != "" || take(0) != "" {
		t.Error("take: want the young, once, and not the old")
	}
	f.put(secret(1), s)
	f.put(secret(1), s)
	for i, want := range []string{s, s, ""} {
		if take(1) != want {
			t.Errorf("take %d of two flights of one session", i)
		}
	}
}

// A flight that never lands keeps the session's id, and not the piece of memory
// that the id is in together with the secret.
func TestFlightKeepsNoSecret(t *testing.T) {
	c := newCache(t, Config{})
	id := string(madeUnder(t, c, serverConfig(), tls.VersionTLS12).ID())
	e, _ := c.internal.Get(id)
	secret := weak.Make(&e.state[0])
	(&serverHooks{cache: c}).handedOut(e.Session, tls.VersionTLS12)
	e.Session = nil
	runtime.GC()
	if len(c.inFlight.younger) != 1 || secret.Value() != nil {
		t.Errorf("%d flights; the session's bytes are reachable: %v", len(c.inFlight.younger), secret.Value() != nil)
	}
}
