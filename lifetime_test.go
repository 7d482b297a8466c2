package halfshake

import (
	"context"
	"crypto/tls"
	"reflect"
	"testing"
	"time"
)

// A session is resumed up to and in its last second, and not after; found
// expired, it is counted and leaves the internal cache, in every version
// (libssl forgets it in TLS 1.3).
func TestExpiry(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		clk := newClock()
		c := newCache(t, Config{Timeout: 10 * time.Second, Time: clk.Now})
		got := recordRemovals(c)
		open, cl := d.open(t, c, serverConfig()), newClient(version)
		s := madeThrough(t, c, open, cl)
		cl.jar.frozen = true
		clk.Advance(10 * time.Second)
		if !connectOK(t, open, cl).resumed {
			t.Error("not resumed in its last second")
		}
		clk.Advance(time.Nanosecond)
		if connectOK(t, open, cl).resumed {
			t.Error("resumed after its last second")
		}
		if st := c.Stats(); st.Timeouts != 1 || st.Refused[RefusedExpired] != 1 {
			t.Errorf("%+v", st)
		}
		if want := []removal{{s.Ref(), CauseExpired}}; !reflect.DeepEqual(*got, want) {
			t.Errorf("removed %v, want %v", *got, want)
		}
		if connectOK(t, open, cl); c.Stats().Timeouts != 1 || c.Stats().Misses != 1 {
			t.Error("the expired session is still there")
		}
	})
}

// madeThrough makes a session through open and returns it.
func madeThrough(t *testing.T, c *Cache, open opener, cl *client) (made *Session) {
	t.Helper()
	c.SetNewCallback(func(_ context.Context, _ ConnInfo, s *Session) bool { made = s; return true })
	connectOK(t, open, cl)
	c.SetNewCallback(nil)
	return made
}

// An expired session of an external cache is not revived (libssl revives it under
// UpdateTime), and is not copied.
func TestExpiredExternalSession(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		clk, store, cl := newClock(), newShelf(), newClient(version)
		connectOK(t, d.open(t, newCache(t, Config{Time: clk.Now, Callbacks: store.callbacks()}), serverConfig()), cl)
		offered := cl.jar.id()
		clk.Advance(DefaultTimeout + time.Second)
		c := newCache(t, Config{Mode: ModeServer | ModeUpdateTime, Time: clk.Now, Callbacks: store.callbacks()})
		if connectOK(t, d.open(t, c, serverConfig()), cl).resumed {
			t.Error("an expired session was resumed")
		}
		if _, copied := c.internal.Get(string(offered)); copied || c.Stats().CBHits != 1 || c.Stats().Timeouts != 1 {
			t.Errorf("copied %v; %+v", copied, c.Stats())
		}
	})
}

// SSL_SESS_CACHE_UPDATE_TIME: the timeout counts from the last use, as the manual
// page says (in libssl the flag has no effect on an internal hit).
func TestUpdateTime(t *testing.T) {
	for _, mode := range []Mode{ModeServer, ModeServer | ModeUpdateTime} {
		forAll(t, func(t *testing.T, d door, version uint16) {
			clk := newClock()
			c := newCache(t, Config{Mode: mode, Timeout: 10 * time.Second, Time: clk.Now})
			open, cl := d.open(t, c, serverConfig()), newClient(version)
			connectOK(t, open, cl)
			cl.jar.frozen = true
			for range 3 {
				clk.Advance(8 * time.Second)
				connectOK(t, open, cl)
			}
			want := uint64(1)
			if mode&ModeUpdateTime != 0 && d.name != viaConfig.name { // which sees no proof
				want = 3
			}
			if hits := c.Stats().Hits; hits != want {
				t.Errorf("%v: %d hits, want %d", mode, hits, want)
			}
			clk.Advance(11 * time.Second)
			if c.Flush(clk.Now()); c.Stats().Number != 0 {
				t.Errorf("%v: %d sessions outlive their last use", mode, c.Stats().Number)
			}
		})
	}
}

func TestUpdateTimeOnAdd(t *testing.T) {
	clk := newClock()
	c := newCache(t, Config{Mode: ModeServer | ModeUpdateTime, Time: clk.Now})
	s := testSession(c, 10)
	clk.Advance(9 * time.Second)
	c.Add(s)
	clk.Advance(9 * time.Second)
	if n := c.Flush(clk.Now()); n != 0 {
		t.Error("Add did not count the timeout anew")
	}
	if c.Add(s) {
		t.Error("the identical session was added twice")
	}
}

// SSL_SESS_CACHE_NO_AUTO_CLEAR: expired sessions are flushed at every 255th
// completed handshake, by this cache's own count.
func TestAutoClear(t *testing.T) {
	for _, mode := range []Mode{ModeServer, ModeServer | ModeNoAutoClear, ModeClient} {
		forAll(t, func(t *testing.T, d door, version uint16) {
			clk := newClock()
			c := newCache(t, Config{Time: clk.Now})
			c.Add(testSession(c, 10))
			clk.Advance(11 * time.Second)
			open, cl := d.open(t, c, serverConfig()), newClient(version)
			c.SetMode(mode)
			old := func() bool { return timedOut(c, clk.Now()) > 0 }
			for n := 1; n <= 255; n++ {
				connectOK(t, open, cl)
				if n < 255 && !old() {
					t.Fatalf("%v: flushed after %d handshakes", mode, n)
				}
			}
			c.work.Wait()
			if old() != (mode != ModeServer) {
				t.Errorf("%v: the expired session is there: %v", mode, old())
			}
		})
	}
}

// timedOut counts the expired sessions that are still held.
func timedOut(c *Cache, now time.Time) (n int) {
	for s := range c.Sessions() {
		if s.expiredAt(now) {
			n++
		}
	}
	return n
}

// A clock that is set back makes no session that does not parse.
func TestClockSetBack(t *testing.T) {
	now := newClock()
	c := newCache(t, Config{Time: now.Now})
	open, cl := viaServer.open(t, c, serverConfig()), newClient(tls.VersionTLS13)
	connectOK(t, open, cl)
	now.Advance(-time.Hour)
	if !connectOK(t, open, cl).resumed {
		t.Fatal("not resumed")
	}
	for s := range c.Sessions() {
		data, err := s.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseSession(data); err != nil {
			t.Errorf("%v: %v", s, err)
		}
		renewed, _ := s.renewed(now.Now().Add(-time.Hour)).MarshalBinary()
		if _, err := ParseSession(renewed); err != nil {
			t.Errorf("%v, renewed: %v", s, err)
		}
	}
}

// MaxLineageAge ends a lineage, however often it was renewed.
func TestMaxLineageAge(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		clk := newClock()
		timeout := 20 * time.Second
		if d.name == "ServerConfig" && version == tls.VersionTLS12 {
			timeout = time.Hour // its sessions are not renewed
		}
		c := newCache(t, Config{MaxLineageAge: 30 * time.Second, Timeout: timeout, Mode: ModeServer | ModeUpdateTime, Time: clk.Now})
		open, cl := d.open(t, c, serverConfig()), newClient(version)
		connectOK(t, open, cl)
		for _, want := range []bool{true, true, true, false} {
			clk.Advance(10 * time.Second)
			if got := connectOK(t, open, cl).resumed; got != want {
				t.Errorf("%v after the full handshake: resumed %v", clk.Now(), got)
			}
		}
		wantRefused(t, c, RefusedLineageAge)
	})
}

// By default sessions with a client certificate have a day, and others no limit (RFC
// 9846 section 4.6.1). A session expires with its lineage, and with the client's and
// the server's certificate.
func TestLineageAgeByDefault(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		clk := newClock()
		c := newCache(t, Config{Scope: "test", Timeout: MaxTimeout, Time: clk.Now})
		config, bare := verifying(), serverConfig()
		long := serverCA.ServerUntil(time.Now().Add(100*time.Hour), "a.example")
		config.Certificates, bare.Certificates = []tls.Certificate{long}, []tls.Certificate{long}
		cert := clientCA.Client("alice", time.Now().Add(50*time.Hour))
		with, without := newClient(version).withCert(cert), newClient(version)
		openWith, openWithout := d.open(t, c, config), d.open(t, c, bare)
		connectOK(t, openWith, with)
		connectOK(t, openWithout, without)
		for s := range c.Sessions() {
			want := long.Leaf.NotAfter
			if s.PeerCertificates() != nil {
				want = s.LineageStart().Add(DefaultMaxLineageAge)
			}
			if d := want.Sub(s.Expires()); d < 0 || d >= time.Second {
				t.Errorf("expires %v, want %v", s.Expires(), want)
			}
		}
		clk.Advance(20 * time.Hour)
		if !connectOK(t, openWith, with).resumed || !connectOK(t, openWithout, without).resumed {
			t.Error("not resumed within the day")
		}
		clk.Advance(5 * time.Hour)
		if connectOK(t, openWith, with).resumed {
			t.Error("resumed a day after the client proved its certificate")
		}
		if !connectOK(t, openWithout, without).resumed {
			t.Error("without a client certificate there is no limit")
		}
	})
}

// Where a client sends neither a name nor a certificate, ServerConfig cannot tell the
// lineage of what a TLS 1.3 resumption makes: it is not cached where a limit applies.
func TestUnknownLineageIsNotCached(t *testing.T) {
	c := newCache(t, Config{MaxLineageAge: time.Hour})
	open, cl := viaConfig.open(t, c, serverConfig()), newClient(tls.VersionTLS13)
	cl.serverName = ""
	for i, want := range []bool{false, true, false} {
		if got := connectOK(t, open, cl).resumed; got != want {
			t.Errorf("connection %d: resumed %v", i, got)
		}
	}
	if n := c.Stats().Refused[RefusedLineageAge]; n != 1 {
		t.Errorf("%d refused for their lineage's age", n)
	}
}
