package halfshake

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// All callbacks of a handshake have one deadline together: a stopped database holds a
// handshake for that long and no longer.
func TestCallbacksHaveOneDeadline(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		const limit = 150 * time.Millisecond
		var waited time.Duration
		hang := func(ctx context.Context) {
			start := time.Now()
			<-ctx.Done()
			waited += time.Since(start)
		}
		c := newCache(t, Config{Size: 1, CallbackTimeout: limit, Callbacks: Callbacks{
			Get: func(ctx context.Context, _ ConnInfo, _ []byte) (*Session, error) { hang(ctx); return nil, ctx.Err() },
			New: func(ctx context.Context, _ ConnInfo, _ *Session) bool { hang(ctx); return true },
		}})
		open, cl := d.open(t, c, serverConfig()), newClient(version)
		connectOK(t, open, cl) // makes a session, of which New is told
		c.SetSize(1)
		c.internal.Clear()
		c.SetRemoveCallback(func(ctx context.Context, _ *Cache, _ *Session, _ Cause) { hang(ctx) })
		c.Add(testSession(c, 100)) // to be evicted
		waited = 0
		if connectOK(t, open, cl).resumed {
			t.Error("resumed from nowhere")
		}
		if waited < limit/2 || waited > 2*limit {
			t.Errorf("the callbacks of one handshake were given %v; the limit is %v", waited, limit)
		}
		waited = 0
		c.Flush(time.Time{})
		if waited > 2*limit {
			t.Errorf("Flush gave its callbacks %v", waited)
		}
		c.SetRemoveCallback(nil)
	})
}

// A callback that fails is logged when it begins to, every ten seconds with a count,
// and when it works again.
func TestFailuresAreLoggedSparingly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c, err := New(Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		call := func(err error) { c.guard(callbackGet, "", func() error { return err }) }
		lines := func() (out []string) {
			for line := range strings.Lines(log.String()) {
				out = append(out, line)
			}
			log.Reset()
			return out
		}
		down := errors.New("the database is down")
		for range 1000 {
			call(down)
		}
		if got := lines(); len(got) != 1 || !strings.Contains(got[0], "callback=Get failures=1 error=\"the database is down\"") {
			t.Fatalf("%q", got)
		}
		time.Sleep(failureInterval)
		call(down)
		if got := lines(); len(got) != 1 || !strings.Contains(got[0], "failures=1000") {
			t.Fatalf("%q", got)
		}
		call(nil)
		call(nil)
		if got := lines(); len(got) != 1 || !strings.Contains(got[0], "works again") {
			t.Fatalf("%q", got)
		}
		for range 10 { // fails now and then
			call(down)
			call(nil)
		}
		if got := lines(); len(got) != 0 {
			t.Fatalf("%q", got)
		}
	})
}

// A nil Logger is the default one at warn and above, looked up for each line.
func TestNilLoggerWarns(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	defer slog.SetDefault(before)
	c, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	h := c.newHandshake(policyWith(serverConfig(), "", ""))
	h.explain(nil, "not found")
	h.logHandshake(false)
	if log.Len() != 0 {
		t.Errorf("a debug line: %s", &log)
	}
	c.guard(callbackNew, "", func() error { panic("no") })
	if !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("no warning: %s", &log)
	}
}

// Remove is told of a declined session only if it had been stored inside, and of one
// from the external cache that has expired, so that a store without expiry of its own
// stays clean.
func TestWhatRemoveIsTold(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		clk := newClock()
		store := newShelf()
		c := newCache(t, Config{Mode: ModeServer | ModeNoInternal, Time: clk.Now, Callbacks: store.callbacks()})
		got := recordRemovals(c)
		open, cl := d.open(t, c, serverConfig()), newClient(version)
		keep := c.NewCallback()
		c.SetNewCallback(func(ctx context.Context, info ConnInfo, s *Session) bool { keep(ctx, info, s); return false })
		connectOK(t, open, cl)
		if connectOK(t, open, cl).resumed || len(*got) != 0 {
			t.Errorf("declined and not stored inside: removed %v, or it resumed", *got)
		}
		c.SetNewCallback(keep)
		connectOK(t, open, cl)
		clk.Advance(DefaultTimeout + time.Second)
		ref := refOf(string(cl.jar.id()))
		connectOK(t, open, cl)
		if len(*got) != 1 || (*got)[0] != (removal{ref, CauseExpired}) {
			t.Errorf("an expired external session: removed %v", *got)
		}
	})
}

// A callback's context ends with its deadline, with the handshake's context and with the
// callback, whether or not somebody waited for it, and so do contexts made from it.
func TestCallbackContext(t *testing.T) {
	for _, waits := range []bool{false, true} {
		for name, test := range map[string]struct {
			end  func(cancel context.CancelFunc, c *lazyDeadline)
			want error
		}{
			"deadline":  {func(context.CancelFunc, *lazyDeadline) { time.Sleep(time.Second) }, context.DeadlineExceeded},
			"handshake": {func(cancel context.CancelFunc, _ *lazyDeadline) { cancel() }, context.Canceled},
			"callback":  {func(_ context.CancelFunc, c *lazyDeadline) { c.end() }, context.Canceled},
		} {
			synctest.Test(t, func(t *testing.T) {
				type key struct{}
				parent, cancel := context.WithCancel(context.WithValue(context.Background(), key{}, name))
				defer cancel()
				c := withDeadline(parent, time.Second)
				defer c.end()
				if deadline, ok := c.Deadline(); !ok || time.Until(deadline) != time.Second || c.Value(key{}) != name || c.Err() != nil {
					t.Errorf("at first: %v, %v, %v", deadline, c.Value(key{}), c.Err())
				}
				var child context.Context
				if waits {
					var stop context.CancelFunc
					child, stop = context.WithCancel(c)
					defer stop()
				}
				test.end(cancel, c)
				synctest.Wait()
				if c.Err() != test.want || waits && child.Err() != test.want || c.Value(key{}) != name {
					t.Errorf("%s, somebody waits %v: %v", name, waits, c.Err())
				}
				select {
				case <-c.Done():
				default:
					t.Errorf("%s, somebody waits %v: not done", name, waits)
				}
			})
		}
	}
}
