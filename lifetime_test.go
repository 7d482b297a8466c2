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
		c := newCache(t, Config{Mode: ModeUpdateTime, Time: clk.Now, Callbacks: store.callbacks()})
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
	for _, mode := range []Mode{ModeServer, ModeUpdateTime} {
		forAll(t, func(t *testing.T, d door, version uint16) {
			if d.name == "ServerConfig" && version == tls.VersionTLS13 {
				return // its hooks do not learn which session was resumed
			}
			clk := newClock()
			c := newCache(t, Config{Mode: mode, Timeout: 10 * time.Second, Time: clk.Now})
			open, cl := d.open(t, c, serverConfig()), newClient(version)
			connectOK(t, open, cl)
			cl.jar.frozen = true
			for range 3 {
				clk.Advance(8 * time.Second)
				connectOK(t, open, cl)
			}
			if hits := c.Stats().Hits; hits != map[Mode]uint64{ModeServer: 1, ModeUpdateTime: 3}[mode] {
				t.Errorf("%v: %d hits", mode, hits)
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
	c := newCache(t, Config{Mode: ModeUpdateTime, Time: clk.Now})
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
	for _, mode := range []Mode{ModeServer, ModeNoAutoClear, ModeClient} {
		forAll(t, func(t *testing.T, d door, version uint16) {
			clk := newClock()
			c := newCache(t, Config{Mode: mode, Time: clk.Now})
			c.Add(testSession(c, 10))
			clk.Advance(11 * time.Second)
			open, cl := d.open(t, c, serverConfig()), newClient(version)
			old := func() bool { return timedOut(c, clk.Now()) > 0 }
			for n := 1; n <= 255; n++ {
				connectOK(t, open, cl)
				if n < 255 && !old() {
					t.Fatalf("%v: flushed after %d handshakes", mode, n)
				}
			}
			c.flushes.Wait()
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

// MaxLineageAge ends a chain of resumptions, however often it was renewed.
// A clock that is set back makes no session that does not parse.
func TestChainStartIsNotAhead(t *testing.T) {
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

func TestMaxLineageAge(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		config := serverConfig()
		if d.name == "ServerConfig" {
			if version == tls.VersionTLS13 {
				return // an error; see TestDoorsRefuseBadConfigs
			}
			config.MaxVersion = tls.VersionTLS12
		}
		clk := newClock()
		c := newCache(t, Config{MaxLineageAge: 30 * time.Second, Timeout: 20 * time.Second, Mode: ModeUpdateTime, Time: clk.Now})
		open, cl := d.open(t, c, config), newClient(version)
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

// Where a configuration from GetConfigForClient allows TLS 1.3 after all, a chain
// of unknown age is not continued.
func TestMaxLineageAgeBehindGetConfigForClient(t *testing.T) {
	base := serverConfig()
	base.MaxVersion = tls.VersionTLS12
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return serverConfig(), nil }
	c := newCache(t, Config{MaxLineageAge: time.Hour})
	open, cl := viaConfig.open(t, c, base), newClient(tls.VersionTLS13)
	for i, want := range []bool{false, true, false} {
		if got := connectOK(t, open, cl).resumed; got != want {
			t.Errorf("connection %d: resumed %v", i, got)
		}
	}
}
