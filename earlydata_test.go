package halfshake

import (
	"context"
	"crypto/tls"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// withEarlyData returns a session of the internal cache that allows early data.
func withEarlyData(t *testing.T, c *Cache) *Session {
	t.Helper()
	s := *madeUnder(t, c, serverConfig(), tls.VersionTLS13)
	c.internal.Drop(sessionEntry{&s})
	ss := must(tls.ParseSessionState(s.state))(t)
	ss.EarlyData = true
	s.state, s.serial = must(ss.Bytes())(t), nextSerial()
	if !s.EarlyData() {
		t.Fatal("the session allows no early data")
	}
	return &s
}

// unwraps is what crypto/tls is given for the session by n connections at once: how
// many resume, and how many of them accept early data.
func unwraps(t *testing.T, c *Cache, s *Session, n int) (resumed, early int64) {
	t.Helper()
	config := must(c.ServerConfig(serverConfig()))(t)
	var r, e atomic.Int64
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			ss, err := config.UnwrapSession(s.ID(), tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: s.suite, ServerName: string([]byte("a.example"))})
			if err != nil {
				t.Error(err)
			}
			if ss != nil {
				r.Add(1)
				if ss.EarlyData {
					e.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return r.Load(), e.Load()
}

// RFC 8446 section 8.1: a session that allows early data resumes once, whoever
// decides: the internal cache, or Admit beside a Get callback.
func TestEarlyDataIsTakenOnce(t *testing.T) {
	c := newCache(t, Config{})
	s := withEarlyData(t, c)
	got := recordRemovals(c)
	c.Add(s)
	if resumed, early := unwraps(t, c, s, 20); resumed != 1 || early != 1 {
		t.Errorf("internal: %d resumed, %d with early data", resumed, early)
	}
	if len(*got) != 1 || (*got)[0] != (removal{s.Ref(), CauseUsed}) {
		t.Errorf("removed %v", *got)
	}

	var taken atomic.Int64
	get := func(context.Context, ConnInfo, []byte) (*Session, error) { return reparse(t, s), nil }
	admit := func(context.Context, ConnInfo, *Session) bool { return taken.Add(1) == 1 }
	c = newCache(t, Config{Callbacks: Callbacks{Get: get, Admit: admit}})
	if resumed, early := unwraps(t, c, s, 20); resumed != 1 || early != 1 || c.Stats().Number != 0 {
		t.Errorf("external: %d resumed, %d with early data; %d copied", resumed, early, c.Stats().Number)
	}

	for name, test := range map[string]struct {
		cfg      Config
		warnings int
	}{
		"Get without Admit":     {Config{Callbacks: Callbacks{Get: get}}, 1},
		"NoInternalStore alone": {Config{Mode: ModeServer | ModeNoInternalStore}, 0},
	} {
		var log strings.Builder
		test.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c = newCache(t, test.cfg)
		if resumed, _ := unwraps(t, c, s, 3); resumed != 0 {
			t.Errorf("%s: %d resumed", name, resumed)
		}
		if n := strings.Count(log.String(), "Callbacks.Admit"); n != test.warnings {
			t.Errorf("%s: %d warnings: %s", name, n, &log)
		}
	}
}
