package external

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/internal/testleaks"
	"github.com/halfshake/halfshake/internal/testsecrets"
)

func TestMain(m *testing.M) { testleaks.Main(m) }

// A callStore is a Store whose methods a test replaces; a method that it does not
// is that of an empty store.
type callStore struct {
	put    func(context.Context, Key, []byte, time.Time, Class) error
	get    func(context.Context, Key) ([]byte, error)
	delete func(context.Context, Key) error
}

func (s *callStore) Put(ctx context.Context, key Key, value []byte, expires time.Time, class Class) error {
	if s.put == nil {
		return nil
	}
	return s.put(ctx, key, value, expires, class)
}

func (s *callStore) Get(ctx context.Context, key Key) ([]byte, error) {
	if s.get == nil {
		return nil, ErrNotFound
	}
	return s.get(ctx, key)
}

func (s *callStore) Take(ctx context.Context, key Key) ([]byte, error) { return s.Get(ctx, key) }

func (s *callStore) Delete(ctx context.Context, key Key) error {
	if s.delete == nil {
		return nil
	}
	return s.delete(ctx, key)
}

func (s *callStore) Load(context.Context) ([]byte, error) { return nil, ErrNotFound }

func (s *callStore) CompareAndSwap(context.Context, []byte, []byte) error { return nil }

// A history is what a store was asked to do, in order.
type history struct {
	mu    sync.Mutex
	deeds []string
}

func (h *history) add(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deeds = append(h.deeds, fmt.Sprintf(format, args...))
}

func (h *history) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.deeds, ", ")
}

// A fixture is an External with its log.
type fixture struct {
	*External
	log  *logLines
	keys *KeyRing
}

type logLines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	testsecrets.LogWriter().Write(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// messages returns "level message operation" of each line.
func (l *logLines) messages() (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		level, rest, _ := strings.Cut(line, " ")
		message, rest, _ := strings.Cut(rest, " operation=")
		operation, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		all = append(all, strings.TrimPrefix(level, "level=")+" "+strings.Trim(strings.TrimPrefix(message, "msg="), `"`)+" "+operation)
	}
	return all
}

func newFixture(t testing.TB, store Store, cfg Config) *fixture {
	t.Helper()
	f := &fixture{log: &logLines{}}
	if cfg.Keys == nil {
		cfg.Keys = testKeys(time.Now())
	}
	f.keys = cfg.Keys
	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	cfg.Logger = slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{ReplaceAttr: noTime}))
	var err error
	if f.External, err = New(store, cfg); err != nil {
		t.Fatal(err)
	}
	f.writes.gather = 0 // TestPutsAreGathered has the default
	t.Cleanup(func() { f.Close() })
	return f
}

// newSession returns a session with an id of the fixture's, valid for a minute.
func (f *fixture) newSession(t testing.TB) *halfshake.Session {
	t.Helper()
	id, err := f.Callbacks().NewID(halfshake.ConnInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return sessionOf(t, id, time.Now(), time.Now().Add(time.Minute))
}

// sessionOf makes a session by its encoding, which encoding.go of the root package
// documents.
func sessionOf(t testing.TB, id []byte, created, expires time.Time) *halfshake.Session {
	t.Helper()
	state := []byte("a state that only these tests know: " + fmt.Sprintf("%x", id[:4]))
	testsecrets.Record(id)
	b := binary.BigEndian.AppendUint32(nil, 0x48530002)
	b = append(append(b, byte(len(id))), id...)
	b = append(b, make([]byte, 16)...) // lineage
	b = binary.BigEndian.AppendUint16(b, 0x0304)
	b = binary.BigEndian.AppendUint16(b, 0x1301)
	for _, at := range []time.Time{created, expires} {
		b = binary.BigEndian.AppendUint64(b, uint64(at.Unix()))
	}
	b = append(b, 0, 0)
	b = append(b, make([]byte, 32)...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(state)))
	b = append(b, state...)
	b = append(b, 0, 0) // fields
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	s, err := halfshake.ParseSession(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (f *fixture) put(t testing.TB, s *halfshake.Session) {
	t.Helper()
	if !f.Callbacks().New(t.Context(), halfshake.ConnInfo{}, s) {
		t.Error("New declined a session: what the store makes of it is no concern of the internal cache's")
	}
}

func (f *fixture) get(t testing.TB, s *halfshake.Session) *halfshake.Session {
	t.Helper()
	got, err := f.Callbacks().Get(t.Context(), halfshake.ConnInfo{}, s.ID())
	if err != nil {
		t.Errorf("Get returned an error, which is counted and logged at each handshake: %v", err)
	}
	return got
}

func (f *fixture) remove(s *halfshake.Session, cause halfshake.Cause) {
	f.Callbacks().Remove(context.Background(), nil, s, cause)
}

func (f *fixture) keyOf(s *halfshake.Session) Key { return f.keys.maker(s.ID()).name(s.ID()) }

// newRandom returns a source that is safe for the goroutines of one test.
func newRandom(seed int) *lockedRandom {
	return &lockedRandom{r: rand.New(rand.NewPCG(uint64(seed), 0))}
}

type lockedRandom struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (l *lockedRandom) IntN(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.IntN(n)
}
