package halfshake

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A removal that comes between a handshake's look-up and its end wins: what the
// handshake makes of the session is not stored. Remove names one session, RemoveLineage
// its lineage, Flush everything.
func TestRemovalWinsOverTheHandshakeInFlight(t *testing.T) {
	for name, remove := range map[string]func(*Cache, *Session){
		"Remove":        func(c *Cache, s *Session) { c.Remove(s) },
		"RemoveLineage": func(c *Cache, s *Session) { c.RemoveLineage(s.Lineage()) },
		"Flush":         func(c *Cache, _ *Session) { c.Flush(time.Time{}) },
	} {
		for _, at := range []string{"Authorize", "Admit", "VerifyConnection"} {
			forAll(t, func(t *testing.T, d door, version uint16) {
				var c *Cache
				var made, victim *Session
				armed := false
				fire := func(where string) {
					if armed && where == at {
						armed = false
						remove(c, victim)
					}
				}
				c = newCache(t, Config{
					Authorize: func(ConnInfo, *Session) bool { fire("Authorize"); return true },
					Callbacks: Callbacks{
						New:   func(_ context.Context, _ ConnInfo, s *Session) bool { made = s; return true },
						Admit: func(context.Context, ConnInfo, *Session) bool { fire("Admit"); return true },
					},
				})
				config := serverConfig()
				config.VerifyConnection = func(tlsState) error { fire("VerifyConnection"); return nil }
				open, cl := d.open(t, c, config), newClient(version)
				connectOK(t, open, cl)
				armed, victim = true, made
				first := connectOK(t, open, cl)
				if at != "VerifyConnection" && first.resumed {
					t.Errorf("%s at %s: resumed all the same", name, at)
				}
				if first.resumed {
					// The resumption took place when its look-up answered; it leaves nothing.
					if again := connectOK(t, open, cl).resumed; again || rested(c).Number > 1 {
						t.Errorf("%s at %s: what the handshake in flight made resumes", name, at)
					}
				}
			})
		}
	}
}

// After RemoveLineage none of the lineage's sessions resumes, is yielded or found, and
// Remove is told of each that was inside; others go on.
func TestRemoveLineage(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		c := newCache(t, Config{})
		open, cl, other := d.open(t, c, serverConfig()), newClient(version), newClient(version)
		connectOK(t, open, other)
		var jars []func()
		for range 3 {
			connectOK(t, open, cl)
			jars = append(jars, cl.jar.saved())
		}
		s, ok := c.Session(cl.jar.id())
		if !ok {
			t.Fatal("the session is not there")
		}
		told := make(chan Cause, 10)
		c.SetRemoveCallback(func(_ context.Context, _ *Cache, gone *Session, cause Cause) {
			if cause == CauseClosed {
				return
			}
			if gone.Lineage() != s.Lineage() {
				t.Error("Remove was told of another lineage")
			}
			told <- cause
		})
		if err := c.RemoveLineage(s.Lineage()); err != nil {
			t.Fatal(err)
		}
		if _, ok := c.Session(cl.jar.id()); ok || c.Add(reparse(t, s)) {
			t.Error("a session of the lineage is found, or added")
		}
		for held := range c.Sessions() {
			if held.Lineage() == s.Lineage() {
				t.Error("Sessions yields one of the lineage")
			}
		}
		for _, restore := range jars {
			if restore(); connectOK(t, open, cl).resumed {
				t.Error("a session of the lineage resumed")
			}
		}
		if !connectOK(t, open, other).resumed {
			t.Error("another lineage went with it")
		}
		c.work.Wait()
		want := map[bool]int{true: 3, false: 1}[version == versions[1]]
		if len(told) != want {
			t.Errorf("Remove was told of %d sessions, want %d", len(told), want)
		}
		for range want {
			if cause := <-told; cause != CauseRevoked {
				t.Errorf("cause %v", cause)
			}
		}
	})
}

// Flush of everything names every session that exists, of whatever time, and no
// session that is made afterwards, even if the clock is set back.
func TestFlushOfEverythingIsAFloor(t *testing.T) {
	clk := newClock()
	store := newShelf()
	var ended []Removal
	callbacks := store.callbacks()
	callbacks.End = func(_ context.Context, r Removal) error { ended = append(ended, r); return nil }
	callbacks.Remove = nil // a store that does not forget
	c := newCache(t, Config{Scope: "a", Time: clk.Now, Callbacks: callbacks})
	open := viaServer.open(t, c, serverConfig())
	clients := []*client{newClient(versions[0]), newClient(versions[1])}
	for _, cl := range clients {
		connectOK(t, open, cl)
	}
	kept := store.sessions
	if n := c.Flush(time.Time{}); n != 2 || c.Stats().Number != 0 {
		t.Errorf("Flush returned %d", n)
	}
	for _, cl := range clients {
		if connectOK(t, open, cl).resumed {
			t.Error("resumed from the external cache after a flush of everything")
		}
	}
	if len(ended) != 1 || ended[0].Lineage != (Lineage{}) || ended[0].Scope != c.scopeID {
		t.Fatalf("End was told %+v", ended)
	}
	elsewhere := newCache(t, Config{Scope: "b", Time: clk.Now})
	foreign := madeUnder(t, elsewhere, serverConfig(), versions[1])
	for _, encoded := range kept {
		s := must(ParseSession(encoded))(t)
		if ended[0].Ends(s) != !s.LineageStart().After(ended[0].Before) || ended[0].Ends(foreign) {
			t.Error("the Removal names the wrong sessions")
		}
	}
	clk.Advance(-time.Hour)
	cl := newClient(versions[1])
	connectOK(t, open, cl)
	if !connectOK(t, open, cl).resumed {
		t.Error("after the clock was set back, the floor names new sessions")
	}
}

// The application's last word stands: a session that was removed and is added again
// resumes. One that Get returns again does not.
func TestAddLiftsTheTombstone(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		store := newShelf()
		callbacks := store.callbacks()
		callbacks.Remove = nil
		c := newCache(t, Config{Callbacks: callbacks})
		open, cl := d.open(t, c, serverConfig()), newClient(version)
		connectOK(t, open, cl)
		s, _ := c.Session(cl.jar.id())
		c.Remove(s)
		restore := cl.jar.saved()
		if connectOK(t, open, cl).resumed {
			t.Error("Get brought back what was removed")
		}
		if c.Stats().Refused[RefusedRemoved] != 1 {
			t.Errorf("refused: %v", c.Stats().Refused)
		}
		restore()
		if !c.Add(s) || !connectOK(t, open, cl).resumed {
			t.Error("added again, it does not resume")
		}
	})
}

// A removal that the End callback cannot record is an error, holds in this process,
// is counted, and is recorded with the next one, or else in Close's error.
func TestEndFails(t *testing.T) {
	down := true
	var recorded []Removal
	c, err := New(Config{Logger: discard(), Callbacks: Callbacks{
		Get: func(context.Context, ConnInfo, []byte) (*Session, error) { return nil, nil },
		End: func(_ context.Context, r Removal) error {
			if down {
				return errors.New("the database is down")
			}
			recorded = append(recorded, r)
			return nil
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	s := testSession(c, 10)
	if c.RemoveLineage(s.Lineage()) == nil || c.Stats().RemovalsPending != 1 || c.Add(s) {
		t.Errorf("%+v", c.Stats())
	}
	c.Flush(time.Time{})
	if c.Stats().RemovalsPending != 2 {
		t.Errorf("%+v", c.Stats())
	}
	down = false
	if err := c.RemoveLineage(newLineage(1)); err != nil || len(recorded) != 3 || c.Stats().RemovalsPending != 0 {
		t.Errorf("%v; recorded %d; %+v", err, len(recorded), c.Stats())
	}
	down = true
	c.RemoveLineage(newLineage(2))
	if err := c.Close(); err == nil {
		t.Error("Close does not say that a removal was not recorded")
	}
	without := newCache(t, Config{Callbacks: Callbacks{Get: func(context.Context, ConnInfo, []byte) (*Session, error) { return nil, nil }}})
	if err := without.RemoveLineage(newLineage(3)); !errors.Is(err, errNoEnd) {
		t.Errorf("with Get and without End: %v", err)
	}
}

// More removals than there is room for raise a floor: more is refused, never less.
func TestRemovalsBeyondTheirRoom(t *testing.T) {
	c := newCache(t, Config{Callbacks: Callbacks{
		Get: func(context.Context, ConnInfo, []byte) (*Session, error) { return nil, nil }, End: func(context.Context, Removal) error { return nil },
	}})
	begin := c.now().UnixMilli()
	var all []*Session
	for i := range maxTombstones + 100 {
		s := *testSession(c, 100)
		s.id, s.lineage = fmt.Sprintf("%032d", i), newLineage(begin-int64(maxTombstones)+int64(i))
		all = append(all, &s)
		c.Remove(&s)
	}
	for i, s := range all {
		if !c.isRemoved(s, c.removed.Mark()) {
			t.Fatalf("removal %d of %d is forgotten", i, len(all))
		}
	}
	if st := c.Stats(); st.Floor.IsZero() || st.Tombstones > maxTombstones {
		t.Errorf("floor %v, %d tombstones", st.Floor, st.Tombstones)
	}
}

// A Flush of everything names what was made after an earlier one while the clock was set
// back, and what a machine made whose clock is ahead.
func TestFlushNamesLineagesOfClocksAhead(t *testing.T) {
	clk := newClock()
	store := newShelf()
	var ended []Removal
	callbacks := store.callbacks()
	callbacks.Remove = nil
	callbacks.End = func(_ context.Context, r Removal) error { ended = append(ended, r); return nil }
	c := newCache(t, Config{Time: clk.Now, Callbacks: callbacks})
	open, cl := viaServer.open(t, c, serverConfig()), newClient(versions[1])
	c.Flush(time.Time{})
	clk.Advance(-time.Hour)
	connectOK(t, open, cl) // its lineage begins after the floor
	c.Flush(time.Time{})
	if connectOK(t, open, cl).resumed {
		t.Error("resumed after the second flush")
	}
	ahead := *madeUnder(t, c, serverConfig(), versions[1])
	ahead.lineage = newLineage(clk.Now().Add(2 * time.Hour).UnixMilli())
	ahead.serial = nextSerial()
	c.Add(&ahead)
	c.Flush(time.Time{})
	if len(ended) != 3 || !ended[2].Ends(&ahead) || c.Add(&ahead) {
		t.Errorf("a lineage of a clock ahead is not named: %+v", ended)
	}
}

// A lineage's removal is recorded for as long as any process may have made a session of
// it, not for this one's timeout.
func TestRemovalOutlivesOtherTimeouts(t *testing.T) {
	clk := newClock()
	var got Removal
	c := newCache(t, Config{Time: clk.Now, Callbacks: Callbacks{End: func(_ context.Context, r Removal) error { got = r; return nil }}})
	l := newLineage(clk.Now().UnixMilli())
	if err := c.RemoveLineage(l); err != nil || got.Lineage != l || got.Until.Before(clk.Now().Add(MaxTimeout)) {
		t.Errorf("%v; recorded until %v", err, got.Until)
	}
	got = Removal{}
	if err := c.RemoveLineage(Lineage{}); err != nil || got != (Removal{}) {
		t.Errorf("the zero lineage: %v, %+v", err, got)
	}
}

// Flush with a time in the future removes sessions that are still valid: from the
// external cache too, and a look-up does not bring them back.
func TestFlushOfTheFuture(t *testing.T) {
	store := newShelf()
	callbacks := store.callbacks()
	callbacks.Remove = nil // a store that does not forget
	c := newCache(t, Config{Callbacks: callbacks})
	got := recordRemovals(c)
	open, cl := viaServer.open(t, c, serverConfig()), newClient(versions[1])
	connectOK(t, open, cl)
	ref := refOf(string(cl.jar.id()))
	if n := c.Flush(c.now().Add(time.Hour)); n != 1 || len(*got) != 1 || (*got)[0] != (removal{ref, CauseExplicit}) {
		t.Errorf("flushed %d; removed %v", n, *got)
	}
	if connectOK(t, open, cl).resumed {
		t.Error("resumed after the flush")
	}
}

// What End could not record is tried again by itself, and by Close before the Remove
// callbacks take up the time; what it never can is counted.
func TestEndIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		var recorded atomic.Int64
		down.Store(true)
		c, err := New(Config{Logger: discard(), CallbackTimeout: 100 * time.Millisecond, Callbacks: Callbacks{
			End: func(ctx context.Context, r Removal) error {
				if down.Load() {
					return errors.New("the database is down")
				}
				if ctx.Err() == nil {
					recorded.Add(1)
				}
				return ctx.Err()
			},
			Remove: func(context.Context, *Cache, *Session, Cause) { time.Sleep(10 * time.Millisecond) },
		}})
		if err != nil {
			t.Fatal(err)
		}
		c.RemoveLineage(newLineage(1))
		down.Store(false)
		time.Sleep(2 * time.Second)
		if recorded.Load() != 1 || c.Stats().RemovalsPending != 0 {
			t.Errorf("recorded %d; %d pending", recorded.Load(), c.Stats().RemovalsPending)
		}
		for range 100 {
			c.Add(testSession(c, 100))
		}
		down.Store(true)
		c.RemoveLineage(newLineage(2))
		down.Store(false)
		if err := c.Close(); err != nil || recorded.Load() != 2 {
			t.Errorf("close: %v; recorded %d", err, recorded.Load())
		}
	})
	c, err := New(Config{Callbacks: Callbacks{Get: func(context.Context, ConnInfo, []byte) (*Session, error) { return nil, nil }}})
	if err != nil {
		t.Fatal(err)
	}
	c.Flush(time.Time{})
	if n := c.Stats().RemovalsPending; n != 1 || c.Close() == nil {
		t.Errorf("Get without End: %d pending after a flush, or Close says nothing", n)
	}
}

// A resumption whose handshake the join table has lost must not go on as a lineage of its
// own: RemoveLineage would not name it.
func TestLostParentEndsTheLineage(t *testing.T) {
	c := newCache(t, Config{})
	s := madeUnder(t, c, serverConfig(), versions[1])
	config := must(c.ServerConfig(serverConfig()))(t)
	cs := tlsState{Version: s.version, CipherSuite: s.suite, ServerName: strings.Clone("a.example")}
	ss, err := config.UnwrapSession(s.ID(), cs)
	if ss == nil || err != nil {
		t.Fatal(err)
	}
	c.join.clear() // as a flood of ClientHellos does
	cs.DidResume = true
	id, err := config.WrapSession(cs, ss)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Session(id); ok || c.Stats().Refused[RefusedLineageAge] != 1 {
		t.Errorf("cached %v; refused %v", ok, c.Stats().Refused)
	}
}

// The ends of the lineage and of the certificates hold under ModeUpdateTime too.
func TestUpdateTimeKeepsTheLimit(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		clk := newClock()
		c := newCache(t, Config{Mode: ModeServer | ModeUpdateTime, Timeout: time.Hour, Time: clk.Now})
		config := serverConfig()
		config.Certificates = []tls.Certificate{serverCA.ServerUntil(time.Now().Add(10*time.Minute), "a.example")}
		open, cl := d.open(t, c, config), newClient(version)
		connectOK(t, open, cl)
		cl.jar.frozen = true
		clk.Advance(9 * time.Minute)
		if !connectOK(t, open, cl).resumed {
			t.Error("not resumed while the certificate is valid")
		}
		clk.Advance(2 * time.Minute)
		if connectOK(t, open, cl).resumed {
			t.Error("resumed after the certificate's end")
		}
	})
}

// The id in the error of a NewID callback is not logged.
func TestNewIDsErrorIsCleaned(t *testing.T) {
	var log bytes.Buffer
	id := []byte("an id that must stay secret")
	c := newCache(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil)), Callbacks: Callbacks{
		NewID: func(ConnInfo) ([]byte, error) { return id, fmt.Errorf("%x is taken", id) },
	}})
	connectOK(t, viaServer.open(t, c, serverConfig()), newClient(versions[1]))
	if !strings.Contains(log.String(), "callback=NewID") || strings.Contains(log.String(), fmt.Sprintf("%x", id)) {
		t.Errorf("the log says %s", &log)
	}
}
