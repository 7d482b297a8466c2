package conformance

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/internal/testca"
)

// The certificates of both sides' runs. No scenario moves the clock beyond their end.
var (
	serverCA   = testca.Root("server CA", testca.ECDSA)
	clientCA   = testca.Root("client CA", testca.ECDSA)
	otherCA    = testca.Root("other CA", testca.ECDSA)
	farFuture  = time.Now().Add(300 * 24 * time.Hour)
	serverCert = serverCA.ServerUntil(farFuture, "a.example", "b.example")
	aliceCert  = clientCA.Client("alice", farFuture)
)

// A world is one run of a scenario against halfshake.Cache.
type world struct {
	t        testing.TB
	scenario *Scenario
	variant  variant
	start    time.Time

	mu sync.Mutex // guards the rest: callbacks run on the goroutines of servers

	now   time.Time
	out   []string
	depth int // of commands that callbacks run
	quiet bool
	tally tally

	names   []string // session ids, in the order in which they appeared
	held    map[string]*halfshake.Session
	store   map[string][]byte // the external cache: records by id
	learned map[string]*clientSession

	caches  map[string]*server
	current *server
	clients map[string]*client
}

// A tally counts events that are not printed.
type tally struct{ full, resumed, failed, calledNew, calledGet, calledRemove int }

// A variant is a way to run a scenario.
type variant struct{ protocol, door, engine string }

func (v variant) words() []string { return []string{v.protocol, v.door, v.engine} }
func (v variant) String() string {
	return strings.Join([]string{v.protocol, v.door, strings.ReplaceAll(v.engine, "/", "-")}, ",")
}

// variants lists those that a scenario runs in. Package tls12 serves TLS 1.2 alone, and
// not through ServerConfig.
func (s *Scenario) variants() (all []variant) {
	for _, protocol := range s.Protocols {
		for _, door := range s.Doors {
			for _, engine := range s.Engines {
				if engine != "tls12" || protocol == TLS12 && door != "ServerConfig" {
					all = append(all, variant{protocol, door, engine})
				}
			}
		}
	}
	return all
}

// play runs the scenario in a variant and returns what it printed.
func play(t testing.TB, s *Scenario, v variant) Recording {
	start := time.Now().Truncate(time.Second)
	w := &world{
		t: t, scenario: s, variant: v, start: start, now: start,
		held: make(map[string]*halfshake.Session), store: make(map[string][]byte), learned: make(map[string]*clientSession),
		caches: make(map[string]*server), clients: make(map[string]*client),
	}
	defer w.close()
	w.makeCache("a", "")
	var r Recording
	for _, step := range s.Steps {
		w.out = nil
		w.run(step.Words)
		r = append(r, Entry{step.String(), w.out})
	}
	return r
}

func (w *world) close() {
	for _, s := range w.caches {
		s.close()
	}
}

// run carries out a command. A command after then belongs to a callback.
func (w *world) run(words []string) {
	do, ok := commands[words[0]]
	if !ok {
		w.t.Fatalf("%s: no command %q", w.scenario.Name, words[0])
	}
	do(w, words)
}

// runNested carries out a command of a callback.
func (w *world) runNested(words []string) {
	w.depth++
	w.say("> %s", strings.Join(words, " "))
	w.run(words)
	w.depth--
}

func (w *world) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.quiet {
		w.out = append(w.out, strings.Repeat("  ", w.depth)+fmt.Sprintf(format, args...))
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// offset prints a time as the seconds since the start.
func (w *world) offset(t time.Time) string {
	return fmt.Sprintf("%+d", int(t.Sub(w.start).Seconds()))
}

// nameOf names an id: "-" is no id, and "ticket" one that no cache can have made.
func (w *world) nameOf(id []byte) string {
	switch {
	case len(id) == 0:
		return "-"
	case len(id) > halfshake.MaxIDSize:
		return "ticket"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.names, string(id))
	if i < 0 {
		i = len(w.names)
		w.names = append(w.names, string(id))
	}
	return fmt.Sprintf("s%d", i+1)
}

// nameIfKnown is nameOf for an id that may be a stranger's.
func (w *world) nameIfKnown(id []byte) string {
	w.mu.Lock()
	known := slices.Contains(w.names, string(id))
	w.mu.Unlock()
	if !known {
		return "unknown"
	}
	return w.nameOf(id)
}

// idOf returns the id of a name.
func (w *world) idOf(name string) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	var n int
	if _, err := fmt.Sscanf(name, "s%d", &n); err != nil || n < 1 || n > len(w.names) {
		w.t.Fatalf("%s: no session is called %s", w.scenario.Name, name)
	}
	return []byte(w.names[n-1])
}

// hold keeps the first session seen under its name, as an application does.
func (w *world) hold(s *halfshake.Session) {
	name := w.nameOf(s.ID())
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held[name] == nil {
		w.held[name] = s
	}
}

func (w *world) heldSession(name string) *halfshake.Session {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.held[name]
	if s == nil {
		w.t.Fatalf("%s: the application holds no session %s", w.scenario.Name, name)
	}
	return s
}

// copyOf decodes the encoding of a session, as an application's database would.
func (w *world) copyOf(s *halfshake.Session) *halfshake.Session {
	record, err := s.MarshalBinary()
	if err != nil {
		w.t.Fatal(err)
	}
	copied, err := halfshake.ParseSession(record)
	if err != nil {
		w.t.Fatal(err)
	}
	return copied
}

// count changes a field of the tally.
func (w *world) count(change func(*tally)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.tally)
}

// option returns the value of a word key=value, or "".
func option(words []string, key string) string {
	for _, word := range words {
		if value, ok := strings.CutPrefix(word, key+"="); ok {
			return value
		}
	}
	return ""
}

var suites12 = map[string]uint16{
	"aes128": tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	"aes256": tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	"chacha": tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
}

func suiteList(words string) (ids []uint16) {
	for word := range strings.SplitSeq(words, ",") {
		ids = append(ids, suites12[word])
	}
	return ids
}

func groupList(words string) (groups []tls.CurveID) {
	for word := range strings.SplitSeq(words, ":") {
		groups = append(groups, map[string]tls.CurveID{"X25519": tls.X25519, "P-256": tls.CurveP256}[word])
	}
	return groups
}
