package halfshake

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testsecrets"
)

// SSL_CTX_sess_set_new_cb(3): a session that the callback does not want is
// removed again at once (libssl forgets to).
func TestNewDeclines(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		c := newCache(t, Config{})
		got := recordRemovals(c)
		var declined []removal
		c.SetNewCallback(func(_ context.Context, _ ConnInfo, s *Session) bool {
			if d.name != "Server" && c.Stats().Number != 1 {
				t.Error("New is called before the session is in the cache")
			}
			declined = append(declined, removal{s.Ref(), CauseDeclined})
			return false
		})
		open, cl := d.open(t, c, serverConfig()), newClient(version)
		for range 2 {
			if connectOK(t, open, cl).resumed {
				t.Error("resumed a declined session")
			}
		}
		if c.Stats().Number != 0 || !reflect.DeepEqual(*got, declined) {
			t.Errorf("%d sessions; removed %v, want %v", c.Stats().Number, *got, declined)
		}
	})
}

// New is told of each session once, with what is known of the connection.
func TestNewSeesTheConnection(t *testing.T) {
	for _, d := range doors {
		var infos []ConnInfo
		c := newCache(t, Config{Callbacks: Callbacks{New: func(ctx context.Context, info ConnInfo, _ *Session) bool {
			if ctx.Err() != nil {
				t.Errorf("%s: the context of New: %v", d.name, ctx.Err())
			}
			infos = append(infos, info)
			return true
		}}})
		connectOK(t, d.open(t, c, serverConfig()), newClient(tls.VersionTLS13))
		if len(infos) != 1 || infos[0].ServerName != "a.example" || infos[0].Version != tls.VersionTLS13 ||
			infos[0].RemoteAddr == nil || infos[0].LocalAddr == nil {
			t.Errorf("%s: %+v", d.name, infos)
		}
	}
}

// A session of an external cache is resumed, copied to the internal one unless
// the mode says otherwise, and not asked for again.
func TestExternalCache(t *testing.T) {
	for _, step := range []struct {
		mode         Mode
		copied, gets int
	}{{ModeServer, 1, 1}, {ModeServer | ModeNoInternalStore, 0, 2}, {ModeServer | ModeNoInternalLookup, 1, 2}, {ModeServer | ModeNoInternal, 0, 2}, {ModeOff, 0, 2}} {
		forAll(t, func(t *testing.T, d door, version uint16) {
			store := newShelf()
			first := newCache(t, Config{Callbacks: store.callbacks()})
			cl := newClient(version)
			connectOK(t, d.open(t, first, serverConfig()), cl)
			cl.jar.frozen = true

			c := newCache(t, Config{Mode: step.mode, Callbacks: Callbacks{Get: store.callbacks().Get}})
			open := d.open(t, c, serverConfig())
			store.gets = 0
			for range 2 {
				if !connectOK(t, open, cl).resumed {
					t.Errorf("%v: not resumed from the external cache", step.mode)
				}
			}
			_, copied := c.internal.Get(string(cl.jar.id()))
			if store.gets != step.gets || copied != (step.copied == 1) {
				t.Errorf("%v: Get called %d times, want %d; copied %v", step.mode, store.gets, step.gets, copied)
			}
			if st := c.Stats(); st.CBHits != uint64(step.gets) || st.Hits != 2 {
				t.Errorf("%v: cb_hits %d, hits %d", step.mode, st.CBHits, st.Hits)
			}
		})
	}
}

// SSL_SESS_CACHE_NO_INTERNAL_STORE keeps new sessions out too; New is told of them
// all the same.
func TestNoInternalStore(t *testing.T) {
	for _, mode := range []Mode{ModeServer | ModeNoInternalStore, ModeServer | ModeNoInternal} {
		forAll(t, func(t *testing.T, d door, version uint16) {
			c := newCache(t, Config{Mode: mode, Callbacks: Callbacks{Get: func(context.Context, ConnInfo, []byte) (*Session, error) { return nil, nil }}})
			if madeThrough(t, c, d.open(t, c, serverConfig()), newClient(version)) == nil {
				t.Error("New was not called")
			}
			if n := c.Stats().Number; n != 0 {
				t.Errorf("%v: %d sessions are in the internal cache", mode, n)
			}
		})
	}
}

// ModeOff stores nothing, does not call New and does not ask the internal cache.
func TestModeOff(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		c := newCache(t, Config{})
		open, cl := d.open(t, c, serverConfig()), newClient(version)
		connectOK(t, open, cl)
		c.SetNewCallback(func(context.Context, ConnInfo, *Session) bool { t.Error("New called in ModeOff"); return true })
		n := c.Stats().Number
		for _, mode := range []Mode{ModeOff, ModeClient} {
			c.SetMode(mode)
			if connectOK(t, open, cl).resumed {
				t.Errorf("resumed in mode %v", mode)
			}
		}
		if st := c.Stats(); st.Number != n || st.Misses != 0 || st.Hits != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// The ids of NewID are used, and those that cannot be are replaced; the handshake
// never fails (libssl's fails).
func TestNewID(t *testing.T) {
	own := bytes.Repeat([]byte{7}, 20)
	var taken []byte
	for i, step := range []struct {
		make func() ([]byte, error)
		own  bool
	}{
		{func() ([]byte, error) { return own, nil }, true},
		{func() ([]byte, error) { return []byte{9}, nil }, true},
		{func() ([]byte, error) { return nil, nil }, false},
		{func() ([]byte, error) { return make([]byte, MaxIDSize+1), nil }, false},
		{func() ([]byte, error) { return taken, nil }, false},
		{func() ([]byte, error) { return own, errors.New("no entropy") }, false},
		{func() ([]byte, error) { panic("no entropy") }, false},
	} {
		forAll(t, func(t *testing.T, d door, version uint16) {
			c := newCache(t, Config{Callbacks: Callbacks{NewID: func(ConnInfo) ([]byte, error) { return step.make() }}})
			held := testSession(c, 10)
			c.Add(held)
			taken = held.ID()
			open, cl := d.open(t, c, serverConfig()), newClient(version)
			connectOK(t, open, cl)
			id := cl.jar.id()
			if step.own && c.Stats().Refused[RefusedCallback] != 0 || !step.own && (len(id) != MaxIDSize || c.Stats().Refused[RefusedCallback] != 1) {
				t.Errorf("step %d: the id has %d bytes; refused %v", i, len(id), c.Stats().Refused)
			}
			if !connectOK(t, open, cl).resumed {
				t.Errorf("step %d: not resumed", i)
			}
		})
	}
}

// Callbacks may call the cache, because none runs under a lock (openssl/openssl
// PR 31540: deadlock).
func TestCallbacksMayCallTheCache(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c := newCache(t, Config{Size: 2})
		depth := 0
		c.SetRemoveCallback(func(_ context.Context, c *Cache, s *Session, _ Cause) {
			if depth++; depth < 10 {
				c.Add(testSession(c, 10))
				c.Remove(s)
				c.SetSize(2)
				c.Stats()
				c.Flush(c.now())
			}
		})
		for range 10 {
			c.Add(testSession(c, 10))
		}
		c.Flush(time.Time{})
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("deadlock")
	}
}

// A Remove callback may close the connection whose session it is told of.
func TestRemoveMayCloseTheConnection(t *testing.T) {
	c := newCache(t, Config{UncleanClose: UncleanCloseRemove})
	p := open(t, c, serverConfig(), newClient(tls.VersionTLS13))
	called := 0
	c.SetRemoveCallback(func(context.Context, *Cache, *Session, Cause) { called++; p.server.Close() })
	p.near.Close()
	done := make(chan struct{})
	go func() { p.server.Read(make([]byte, 1)); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("deadlock")
	}
	if c.SetRemoveCallback(nil); called != 1 {
		t.Errorf("Remove was called %d times", called)
	}
}

// A removal that comes while an external session is on its way into the internal
// cache wins: the session does not come back.
func TestRemovalWinsOverTheCopy(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		store, cl := newShelf(), newClient(version)
		connectOK(t, d.open(t, newCache(t, Config{Callbacks: store.callbacks()}), serverConfig()), cl)
		cl.jar.frozen = true
		var c *Cache
		callbacks := store.callbacks()
		callbacks.New = nil
		callbacks.Admit = func(_ context.Context, _ ConnInfo, s *Session) bool {
			c.Remove(s) // an operator does, just now
			return true
		}
		c = newCache(t, Config{Callbacks: callbacks})
		open := d.open(t, c, serverConfig())
		connectOK(t, open, cl)
		if connectOK(t, open, cl).resumed {
			t.Error("the session came back")
		}
	})
}

// A copy that is there already is not replaced by itself: nobody is told that it
// went, least of all for a client that proved nothing.
func TestExternalHitReplacesNoCopy(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		store := newShelf()
		c := newCache(t, Config{Mode: ModeServer | ModeNoInternalLookup, Callbacks: store.callbacks()})
		open, cl := d.open(t, c, serverConfig()), newClient(version)
		connectOK(t, open, cl)
		cl.jar.frozen = true
		got := recordRemovals(c)
		for range 3 {
			if !connectOK(t, open, cl).resumed {
				t.Error("not resumed")
			}
		}
		if len(*got) != 0 {
			t.Errorf("removed %v", *got)
		}
	})
}

// CVE-2024-2511 and openssl/openssl#18690: what a callback does with the id that
// it is given, or with copies of a session, changes nothing in the cache.
func TestCallbackCannotChangeACachedSession(t *testing.T) {
	store := newShelf()
	for _, version := range versions {
		c := newCache(t, Config{Mode: ModeServer | ModeNoInternalLookup, Callbacks: store.callbacks()})
		c.SetGetCallback(func(ctx context.Context, info ConnInfo, id []byte) (*Session, error) {
			s, err := store.callbacks().Get(ctx, info, id)
			clear(id)
			clear(s.ID())
			return s, err
		})
		open, cl := viaServer.open(t, c, serverConfig()), newClient(version)
		connectOK(t, open, cl)
		if !connectOK(t, open, cl).resumed {
			t.Errorf("%s: not resumed", tls.VersionName(version))
		}
	}
}

// faults are what a callback can do wrong when it is asked for a session.
func faults(other, expired *Session) []GetFunc {
	return []GetFunc{
		func(context.Context, ConnInfo, []byte) (*Session, error) { return nil, errors.New("the store is down") },
		func(_ context.Context, _ ConnInfo, id []byte) (*Session, error) {
			return nil, fmt.Errorf("no session %x (%q, %v)", id, id, id) // tells the id
		},
		func(_ context.Context, _ ConnInfo, id []byte) (*Session, error) { panic(fmt.Sprintf("%x", id)) },
		func(context.Context, ConnInfo, []byte) (*Session, error) { return other, nil },
		func(context.Context, ConnInfo, []byte) (*Session, error) { return nil, nil },
		func(_ context.Context, _ ConnInfo, id []byte) (*Session, error) {
			s := *expired
			s.id = string(id)
			return &s, nil
		},
		func(_ context.Context, _ ConnInfo, id []byte) (*Session, error) {
			s := *other
			s.id, s.state = string(id), []byte("garbage")
			return &s, nil
		},
		func(context.Context, ConnInfo, []byte) (*Session, error) { return &Session{}, nil },
	}
}

// 10,000 handshakes with callbacks that error, panic, return another's session,
// nothing, an expired one or garbage: not one fails, not one resumes, and no log
// line tells an id.
func TestFaultyCallbacksFailNoHandshake(t *testing.T) {
	const handshakes = 10_000
	var log bytes.Buffer
	c := newCache(t, Config{
		Mode:   ModeServer | ModeNoInternalLookup,
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Callbacks: Callbacks{
			NewID: func(ConnInfo) ([]byte, error) { panic("no id") },
			Get:   func(context.Context, ConnInfo, []byte) (*Session, error) { return nil, nil },
			New:   func(context.Context, ConnInfo, *Session) bool { panic("not stored") },
		},
	})
	other := madeUnder(t, c, serverConfig(), tls.VersionTLS13)
	expired := *other
	expired.expires = c.now().Unix() - 1
	c.SetRemoveCallback(func(context.Context, *Cache, *Session, Cause) { panic("not removed") })
	gets := faults(other, &expired)

	n := 0
	clients := []*client{newClient(tls.VersionTLS12), newClient(tls.VersionTLS13)}
	var openers []opener
	for _, d := range append(doors, viaIDs) {
		openers = append(openers, d.open(t, c, serverConfig()))
	}
	for ; n < handshakes; n++ {
		c.SetGetCallback(gets[n/8%len(gets)])
		cl := clients[n%2]
		offered := cl.jar.id()
		o := connect(t, openers[n/2%4], cl)
		if o.clientErr != nil || o.serverErr != nil {
			t.Fatalf("handshake %d: client %v; server %v", n, o.clientErr, o.serverErr)
		}
		if o.resumed {
			t.Fatalf("handshake %d resumed", n)
		}
		for _, id := range [][]byte{offered, cl.jar.id()} {
			if len(id) > 0 && bytes.Contains(log.Bytes(), fmt.Appendf(nil, "%x", id)) {
				t.Fatalf("handshake %d: an id is in the log", n)
			}
		}
		testsecrets.LogWriter().Write(log.Bytes())
		log.Reset()
	}
	st := c.Stats()
	if st.Hits != 0 || st.AcceptGood != handshakes+1 || st.Refused[RefusedCallback] < handshakes/2 {
		t.Errorf("%+v", st)
	}
	for _, r := range []Refusal{RefusedWrongID, RefusedExpired, RefusedMalformed} {
		if st.Refused[r] == 0 {
			t.Errorf("no refusal for %v", r)
		}
	}
}
