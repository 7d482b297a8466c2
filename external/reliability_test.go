package external_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/external"
	"github.com/halfshake/halfshake/external/memstore"
	"github.com/halfshake/halfshake/external/storetest"
	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/internal/testsecrets"
)

var update = flag.Bool("update", false, "write the table of faults into docs/reliability.md")

// A misfortune is one way in which a store does not do what it should.
type misfortune struct {
	name   string
	strike func(*storetest.Faulty)
}

func all(fault storetest.Fault) func(*storetest.Faulty) {
	return func(f *storetest.Faulty) { f.SetAll(fault) }
}

var misfortunes = []misfortune{
	{"none", func(*storetest.Faulty) {}},
	{"dead: every call fails at once", all(storetest.Fail)},
	{"every call reports failure, but takes effect", all(storetest.FailDone)},
	{"hung", all(storetest.Hang)},
	{"hung, but every call takes effect", all(storetest.HangDone)},
	{"hung, with a driver that ignores its context", all(storetest.Stuck)},
	{"slow: 200 ms a call", func(f *storetest.Faulty) {
		for _, op := range []storetest.Op{storetest.Put, storetest.Get, storetest.Delete} {
			f.SetDelay(op, 200*time.Millisecond)
		}
	}},
	{"the driver panics", all(storetest.Panic)},
	{"full", all(storetest.Full)},
	{"read-only", all(storetest.ReadOnly)},
	{"acknowledges writes and drops them", all(storetest.Drop)},
	{"returns another key's value", all(storetest.OtherKey)},
	{"returns an old value of the same key", all(storetest.Older)},
	{"returns values with a flipped bit", all(storetest.Flipped)},
	{"returns truncated values", all(storetest.Truncated)},
	{"returns garbage", all(storetest.Garbage)},
	{"returns a megabyte", all(storetest.Oversize)},
	{"returns nothing and no error", all(storetest.Nil)},
	{"half of all calls have one of these faults", func(f *storetest.Faulty) {
		var faults []storetest.Fault
		for _, fault := range storetest.Faults() {
			if fault != storetest.Stuck { // it has its row, and would hang on
				faults = append(faults, fault)
			}
		}
		f.SetFunc(storetest.Randomly(1, 0.5, faults...))
	}},
}

// What happened under a misfortune.
type report struct {
	resumed, recovered int
	longest            time.Duration
	log                []string
}

// pace is how often the client comes: seldom enough that its session is in the store
// by then.
const pace = 2 * time.Second

// No fault of a store fails a handshake, no read outlives its limit, a change of state
// is one line of log, and when the store works again, sessions resume without a
// restart. The clock is a fake one.
func TestFaultsOfTheStore(t *testing.T) {
	var table strings.Builder
	table.WriteString("| fault | handshakes that failed | resumed | longest wait | resumed afterwards | log lines |\n|---|---|---|---|---|---|\n")
	for _, m := range misfortunes {
		synctest.Test(t, func(t *testing.T) {
			r := m.befall(t)
			if r.longest > external.DefaultReadLimit {
				t.Errorf("%s: a handshake waited for %v", m.name, r.longest)
			}
			if r.recovered < handshakesAfter {
				t.Errorf("%s: %d of %d resume when it is over", m.name, r.recovered, handshakesAfter)
			}
			t.Logf("%s: %d of %d resumed", m.name, r.resumed, handshakesStruck)
			fmt.Fprintf(&table, "| %s | 0 | %s | %v | all | %d |\n", m.name, share(r.resumed), r.longest, len(r.log))
		})
	}
	if handshakesStruck == 300 {
		compareTable(t, table.String())
	}
}

// share says how many of the handshakes n is, as exactly as that is the same in
// every run: keys, and so the lanes that writes take, are random.
func share(n int) string {
	switch percent := 100 * n / handshakesStruck; {
	case percent < 3:
		return "none"
	case percent > 97:
		return "all"
	default:
		return "some"
	}
}

// befall makes handshakes while the store is struck, and after it.
func (m misfortune) befall(t *testing.T) (r report) {
	faulty := storetest.NewFaulty(memstore.New(memstore.Config{}))
	s := newServer(t, faulty)
	defer s.close(t)
	for range 10 {
		s.connect(t)
		synctest.Wait()
	}
	m.strike(faulty)
	for range handshakesStruck {
		before := time.Now()
		if s.connect(t) {
			r.resumed++
		}
		r.longest = max(r.longest, time.Since(before))
		time.Sleep(pace)
		synctest.Wait()
	}
	faulty.Heal()
	faulty.Release()
	time.Sleep(11 * time.Second) // more than the longest pause
	for range 4 {
		s.connect(t) // two tries, then two sessions
		time.Sleep(pace)
		synctest.Wait()
	}
	for range handshakesAfter {
		if s.connect(t) {
			r.recovered++
		}
		time.Sleep(pace)
		synctest.Wait()
	}
	r.log = s.log.lines()
	return r
}

// A server resumes from its store alone; its client comes again and again, in TLS
// 1.2 and 1.3 by turns.
type server struct {
	sessions *external.External
	cache    *halfshake.Cache
	config   *tls.Config
	clients  []*tls.Config
	visits   int
	log      lines
}

func newServer(t *testing.T, store external.Store) *server {
	t.Helper()
	s := &server{}
	ca := testca.Root("reliability", testca.ECDSA)
	var err error
	s.sessions, err = external.New(store, external.Config{
		Keys: external.GenerateKeys(time.Now()), Logger: slog.New(slog.NewTextHandler(&s.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.cache, err = halfshake.New(halfshake.Config{
		Mode: halfshake.ModeServer | halfshake.ModeNoInternal, Timeout: 2 * time.Hour, Callbacks: s.sessions.Callbacks(),
	}); err != nil {
		t.Fatal(err)
	}
	if s.config, err = s.cache.ServerConfig(&tls.Config{Certificates: []tls.Certificate{ca.Server("a.example")}}); err != nil {
		t.Fatal(err)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s.clients = append(s.clients, &tls.Config{
			RootCAs: ca.Pool(), ServerName: "a.example", MinVersion: version, MaxVersion: version,
			ClientSessionCache: tls.NewLRUClientSessionCache(1), KeyLogWriter: testsecrets.KeyLog(),
		})
	}
	return s
}

func (s *server) close(t *testing.T) {
	t.Helper()
	if err := errors.Join(s.cache.Close(), s.sessions.Close()); err != nil {
		t.Error(err)
	}
}

// connect has the next client connect, and reports whether it resumed.
func (s *server) connect(t *testing.T) (resumed bool) {
	t.Helper()
	s.visits++
	return connect(t, s.clients[s.visits%len(s.clients)], func(conn net.Conn) net.Conn { return tls.Server(conn, s.config) })
}

// connect fails the test unless the handshake succeeds, and reports whether it
// resumed.
func connect(t *testing.T, client *tls.Config, door func(net.Conn) net.Conn) (resumed bool) {
	t.Helper()
	near, far := net.Pipe()
	conn, peer := tls.Client(near, client), door(far)
	var served sync.WaitGroup
	served.Go(func() {
		defer peer.Close()
		if _, err := peer.Write([]byte("hello")); err != nil {
			t.Errorf("the server: %v", err)
		}
		_, _ = io.Copy(io.Discard, peer) // the client's close_notify
	})
	if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
		t.Errorf("the client: %v", err)
	}
	conn.Close()
	served.Wait()
	return conn.ConnectionState().DidResume
}

type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	testsecrets.LogWriter().Write(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSuffix(l.buf.String(), "\n"), "\n")[:strings.Count(l.buf.String(), "\n")]
}

const (
	reliability = "../docs/reliability.md"
	tableBegins = "<!-- the table of faults, written by go test ./external -run TestFaultsOfTheStore -update -->\n"
	tableEnds   = "<!-- the end of the table -->\n"
)

// compareTable holds that the manual has the table, or writes it there.
func compareTable(t *testing.T, table string) {
	t.Helper()
	doc, err := os.ReadFile(reliability)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(doc), tableBegins)
	old, after, ended := strings.Cut(rest, tableEnds)
	if !found || !ended {
		t.Fatalf("%s has no place for the table", reliability)
	}
	switch {
	case old == table:
	case *update:
		if err := os.WriteFile(reliability, []byte(before+tableBegins+table+tableEnds+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s has another table; look at what changed, and run this test with -update. It is now:\n%s", reliability, table)
	}
}

// Callbacks of an External are a Cache's, and nothing that a client proposes costs
// more than one read.
func TestOneReadAClientHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faulty := storetest.NewFaulty(memstore.New(memstore.Config{}))
		s := newServer(t, faulty)
		defer s.close(t)
		for range 20 {
			s.connect(t)
			synctest.Wait()
		}
		if n := faulty.Calls(storetest.Get); n > 18 {
			t.Errorf("20 ClientHellos, 18 of them with an id, made %d reads", n)
		}
	})
}
