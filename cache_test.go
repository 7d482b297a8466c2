package halfshake

import (
	"context"
	"crypto/tls"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// A removal is a call of the Remove callback.
type removal struct {
	ref   string
	cause Cause
}

// recordRemovals sets a Remove callback that appends to the slice it returns.
func recordRemovals(c *Cache) *[]removal {
	var got []removal
	c.SetRemoveCallback(func(_ context.Context, _ *Cache, s *Session, cause Cause) { got = append(got, removal{s.Ref(), cause}) })
	return &got
}

// testSession makes a session that expires in so many seconds, without a
// handshake; it resumes nothing.
func testSession(c *Cache, seconds int64) *Session {
	now := c.now().Unix()
	return &Session{serial: nextSerial(), id: string(randomID()), version: tls.VersionTLS13, created: now, lineage: newLineage(now * 1000), expires: now + seconds, state: []byte{1}}
}

func reparse(t *testing.T, s *Session) *Session {
	t.Helper()
	return must(ParseSession(must(s.MarshalBinary())(t)))(t)
}

// SSL_CTX_add_session(3): the identical session is not added twice; another
// object of the same id replaces the first.
func TestAdd(t *testing.T) {
	for _, mode := range []Mode{ModeServer, ModeClient, ModeOff, ModeServer | ModeNoInternal} {
		clk := newClock()
		c := newCache(t, Config{Mode: mode, Time: clk.Now})
		c.SetNewCallback(func(context.Context, ConnInfo, *Session) bool { t.Error("Add called New"); return true })
		got := recordRemovals(c)
		s := testSession(c, 10)
		if !c.Add(s) || c.Add(s) {
			t.Errorf("%v: Add of a new session and of the identical one", mode)
		}
		again := reparse(t, s)
		if !c.Add(again) || c.Add(again) || c.Stats().Number != 1 {
			t.Errorf("%v: Add of another object of the id", mode)
		}
		if want := []removal{{s.Ref(), CauseReplaced}}; !reflect.DeepEqual(*got, want) {
			t.Errorf("%v: removed %v, want %v", mode, *got, want)
		}
		c.SetRemoveCallback(nil)
	}
}

// What cannot be removed again must not come in: OpenSSL accepts an empty id and
// expired sessions.
func TestAddRefuses(t *testing.T) {
	clk := newClock()
	c := newCache(t, Config{Time: clk.Now})
	empty, long, expired := testSession(c, 10), testSession(c, 10), testSession(c, 10)
	empty.id, long.id = "", strings.Repeat("x", MaxIDSize+1)
	clk.Advance(10 * time.Second)
	if !c.Add(expired) {
		t.Error("a session in its last second is refused")
	}
	c.Remove(expired)
	clk.Advance(time.Nanosecond)
	for _, s := range []*Session{nil, {}, empty, long, expired} {
		if c.Add(s) {
			t.Errorf("added %v", s)
		}
	}
}

// SSL_CTX_remove_session(3): false when absent, and the callback is called all
// the same, so that an external copy goes.
func TestRemove(t *testing.T) {
	c := newCache(t, Config{})
	got := recordRemovals(c)
	s := testSession(c, 10)
	c.Add(s)
	if !c.Remove(s) || c.Remove(s) || c.Remove(nil) || c.Remove(&Session{}) {
		t.Error("Remove: want true, false, and false for no session")
	}
	if want := []removal{{s.Ref(), CauseExplicit}, {s.Ref(), CauseExplicit}}; !reflect.DeepEqual(*got, want) {
		t.Errorf("removed %v, want %v", *got, want)
	}
	c.Add(s)
	if !c.Remove(reparse(t, s)) {
		t.Error("Remove goes by id")
	}
}

// SSL_CTX_flush_sessions(3): what has expired, the earliest first; at its very
// last second a session has not. The zero time is everything.
func TestFlush(t *testing.T) {
	clk := newClock()
	c := newCache(t, Config{Time: clk.Now})
	got := recordRemovals(c)
	late, early, middle := testSession(c, 30), testSession(c, 10), testSession(c, 20)
	for _, s := range []*Session{late, early, middle} {
		c.Add(s)
	}
	start := clk.Now()
	for _, step := range []struct{ after, want int }{{10, 0}, {11, 1}, {31, 2}} {
		if n := c.Flush(start.Add(time.Duration(step.after) * time.Second)); n != step.want {
			t.Errorf("flush after %d s: %d sessions, want %d", step.after, n, step.want)
		}
	}
	fresh, stale := testSession(c, 30), testSession(c, 10)
	c.Add(fresh)
	c.Add(stale)
	clk.Advance(11 * time.Second)
	if n := c.Flush(time.Time{}); n != 2 {
		t.Errorf("flush of everything: %d", n)
	}
	// A time in the future removes what is still valid, and an external copy must go too.
	want := []removal{{early.Ref(), CauseExplicit}, {middle.Ref(), CauseExplicit}, {late.Ref(), CauseExplicit}, {stale.Ref(), CauseExpired}, {fresh.Ref(), CauseExplicit}}
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("removed %v, want %v", *got, want)
	}
}

// A full cache evicts the session nearest to its expiry, never the newcomer, and
// holds exactly its size (OpenSSL 3 holds one fewer). A smaller size holds at
// once.
func TestSize(t *testing.T) {
	c := newCache(t, Config{Size: 3})
	got := recordRemovals(c)
	long, short, middle, newcomer := testSession(c, 40), testSession(c, 20), testSession(c, 30), testSession(c, 10)
	for _, s := range []*Session{long, short, middle, newcomer} {
		c.Add(s)
	}
	if prev := c.SetSize(1); prev != 3 || c.Size() != 1 {
		t.Errorf("SetSize returned %d; Size is %d", prev, c.Size())
	}
	want := []removal{{short.Ref(), CauseEvicted}, {newcomer.Ref(), CauseEvicted}, {middle.Ref(), CauseEvicted}}
	if !reflect.DeepEqual(*got, want) || c.Stats().CacheFull != 3 {
		t.Errorf("removed %v, want %v; cache_full %d", *got, want, c.Stats().CacheFull)
	}
	if c.SetSize(0); c.Size() != DefaultSize {
		t.Errorf("SetSize(0): %d", c.Size())
	}
	if c.SetSize(-7); c.Size() != -1 {
		t.Errorf("SetSize(-7): %d", c.Size())
	}
}

func TestCloseRemovesEverything(t *testing.T) {
	c := newCache(t, Config{})
	got := recordRemovals(c)
	s := testSession(c, 10)
	c.Add(s)
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if want := []removal{{s.Ref(), CauseClosed}}; !reflect.DeepEqual(*got, want) {
		t.Errorf("removed %v, want %v", *got, want)
	}
	if c.Add(s) || c.Stats().Number != 0 || len(*got) != 1 {
		t.Errorf("a closed cache took a session; removed %v", *got)
	}
}

// Close waits for the flush that is under way, and none begins after it.
func TestCloseWaitsForTheFlush(t *testing.T) {
	clk := newClock()
	c := newCache(t, Config{Time: clk.Now})
	flushing, finish := make(chan struct{}), make(chan struct{})
	c.SetRemoveCallback(func(context.Context, *Cache, *Session, Cause) { close(flushing); <-finish })
	c.Add(testSession(c, 10))
	clk.Advance(11 * time.Second)
	c.clearSoon()
	<-flushing
	c.SetRemoveCallback(nil)
	closed := make(chan struct{})
	go func() { c.Close(); close(closed) }()
	select {
	case <-closed:
		t.Error("Close did not wait")
	case <-time.After(100 * time.Millisecond):
	}
	close(finish)
	<-closed
	c.clearSoon()
	if c.clearing.running {
		t.Error("a flush began after Close")
	}
}

// A closed cache goes on serving full handshakes, and asks nobody.
func TestHandshakeAfterClose(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		callbacks := newShelf().callbacks()
		callbacks.Remove = nil
		c := newCache(t, Config{Callbacks: callbacks})
		open, cl := d.open(t, c, serverConfig()), newClient(version)
		connectOK(t, open, cl)
		c.Close()
		for range 2 {
			if o := connectOK(t, open, cl); o.resumed {
				t.Error("resumed after Close")
			}
		}
	})
}

func TestSettersReturnThePreviousValue(t *testing.T) {
	c := newCache(t, Config{})
	previous := ModeServer
	for _, step := range []struct{ set, want Mode }{ // the idioms of C
		{ModeServer | ModeNoInternal, ModeServer | ModeNoInternal},
		{0, ModeOff},
		{ModeServer | ModeNoInternal | ModeUpdateTime, ModeServer | ModeNoInternal | ModeUpdateTime},
		{c.Mode() &^ ModeServer, ModeOff},
		{ModeNoInternal | ModeUpdateTime, ModeOff | ModeNoInternal | ModeUpdateTime},
		{ModeOff | ModeServer, ModeServer},
		{ModeOff | ModeBoth | ModeNoInternal, ModeBoth | ModeNoInternal},
		{ModeOff | ModeUpdateTime, ModeOff | ModeUpdateTime},
		{0x4000 | ModeServer, ModeServer},
	} {
		if was := c.SetMode(step.set); was != previous || c.Mode() != step.want {
			t.Errorf("SetMode(%#x) returned %v, want %v; Mode is %v, want %v", uint16(step.set), was, previous, c.Mode(), step.want)
		}
		previous = c.Mode()
	}
	if d := c.SetTimeout(time.Minute); d != DefaultTimeout || c.Timeout() != time.Minute {
		t.Errorf("SetTimeout returned %v; Timeout is %v", d, c.Timeout())
	}
	for _, step := range []struct{ set, want time.Duration }{
		{0, DefaultTimeout}, {-1, time.Second}, {1, time.Second}, {1500 * time.Millisecond, 2 * time.Second}, {1 << 62, MaxTimeout},
	} {
		if c.SetTimeout(step.set); c.Timeout() != step.want {
			t.Errorf("SetTimeout(%v): %v, want %v", step.set, c.Timeout(), step.want)
		}
	}
	if c.NewCallback() != nil || c.GetCallback() != nil || c.RemoveCallback() != nil {
		t.Error("a callback that was not set")
	}
	c.SetGetCallback(func(context.Context, ConnInfo, []byte) (*Session, error) { return nil, nil })
	if c.GetCallback() == nil {
		t.Error("SetGetCallback had no effect")
	}
	if c.SetGetCallback(nil); c.GetCallback() != nil {
		t.Error("SetGetCallback(nil) had no effect")
	}
}

func TestModeString(t *testing.T) {
	for m, want := range map[Mode]string{
		0: "off", ModeOff: "off", ModeBoth | ModeNoInternal: "both,no-internal",
		ModeNoInternalStore | ModeNoAutoClear: "no-auto-clear,no-internal-store", ModeClient | ModeUpdateTime: "client,update-time",
	} {
		if got := m.String(); got != want {
			t.Errorf("%#x: %q, want %q", uint16(m), got, want)
		}
	}
}

func TestNewRefusesBadConfigs(t *testing.T) {
	for _, bad := range []struct {
		cfg  Config
		want string
	}{
		{Config{Mode: 0x4000}, "Config.Mode"},
		{Config{Timeout: -1}, "Config.Timeout"},
		{Config{Timeout: 1500 * time.Millisecond}, "Config.Timeout"},
		{Config{Timeout: MaxTimeout + time.Second}, "Config.Timeout"},
		{Config{MaxBytes: -1}, "Config.MaxBytes"},
		{Config{MaxBytes: 1000}, "Config.MaxBytes"},
		{Config{Mode: ModeNoInternalStore}, "ModeServer"},
		{Config{CallbackTimeout: -1}, "Config.CallbackTimeout"},
		{Config{UncleanClose: 2}, "Config.UncleanClose"},
	} {
		if _, err := New(bad.cfg); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%+v: %v; want an error that names %s", bad.cfg, err, bad.want)
		}
	}
}

func TestDoorsRefuseBadConfigs(t *testing.T) {
	c := newCache(t, Config{})
	hook := func([]byte, tls.ConnectionState) (*tls.SessionState, error) { return nil, nil }
	for _, bad := range []struct {
		config *tls.Config
		want   string
	}{
		{nil, "nil"},
		{&tls.Config{SessionTicketsDisabled: true}, "nothing can resume while SessionTicketsDisabled is set; clear it: Halfshake issues no stateless tickets"},
		{&tls.Config{UnwrapSession: hook}, "UnwrapSession"},
		{verifying(), "Config.Scope"},
	} {
		_, viaConfig := c.ServerConfig(bad.config)
		_, viaListener := c.NewListener(newQueue(0), bad.config)
		near, far := socketPair(t)
		_, viaServer := c.Server(far, bad.config)
		near.Close()
		far.Close()
		for i, err := range []error{viaConfig, viaListener, viaServer} {
			if err == nil || !strings.Contains(err.Error(), bad.want) {
				t.Errorf("door %d: %v; want an error with %q", i, err, bad.want)
			}
		}
	}
	for _, bad := range []struct {
		cfg  Config
		want string
	}{
		{Config{Mode: ModeClient}, "ModeServer"},
		{Config{Mode: ModeServer | ModeNoInternalLookup}, "Callbacks.Get"},
		{Config{Mode: ModeServer | ModeNoInternal}, "Callbacks.Get"},
		{Config{SessionIDs: SessionIDsTicketless}, "SessionIDs"},
	} {
		if _, err := newCache(t, bad.cfg).ServerConfig(serverConfig()); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%+v: %v; want an error that names %s", bad.cfg.Mode, err, bad.want)
		}
	}
	for _, mode := range []Mode{ModeOff, ModeServer | ModeNoInternalStore} {
		if _, err := newCache(t, Config{Mode: mode}).ServerConfig(serverConfig()); err != nil {
			t.Errorf("%v: %v", mode, err)
		}
	}
}

func TestSessionsCanBeChangedDuringTheIteration(t *testing.T) {
	c := newCache(t, Config{})
	for range 10 {
		c.Add(testSession(c, 10))
	}
	n := 0
	for s := range c.Sessions() {
		c.Remove(s)
		if n++; n == 5 {
			break
		}
	}
	if got := len(slices.Collect(c.Sessions())); got != 5 {
		t.Errorf("%d sessions left", got)
	}
}
