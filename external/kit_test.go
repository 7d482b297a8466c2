package external

import (
	"bytes"
	"context"
	crand "crypto/rand"
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

// A callStore is a Store whose methods a test replaces. A method that it does not
// replace is that of an empty store, with a revocation log in memory.
type callStore struct {
	put    func(context.Context, Key, []byte, time.Time, Class) error
	get    func(context.Context, Key) ([]byte, error)
	take   func(context.Context, Key) ([]byte, error)
	delete func(context.Context, Key) error
	load   func(context.Context) ([]byte, error)
	swap   func(ctx context.Context, old, next []byte) error

	mu  sync.Mutex
	log []byte
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

func (s *callStore) Take(ctx context.Context, key Key) ([]byte, error) {
	if s.take == nil {
		return nil, ErrNotFound
	}
	return s.take(ctx, key)
}

func (s *callStore) Delete(ctx context.Context, key Key) error {
	if s.delete == nil {
		return nil
	}
	return s.delete(ctx, key)
}

func (s *callStore) Load(ctx context.Context) ([]byte, error) {
	if s.load != nil {
		return s.load(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log == nil {
		return nil, ErrNotFound
	}
	return bytes.Clone(s.log), nil
}

func (s *callStore) CompareAndSwap(ctx context.Context, old, next []byte) error {
	if s.swap != nil {
		return s.swap(ctx, old, next)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !bytes.Equal(s.log, old) {
		return ErrConflict
	}
	s.log = bytes.Clone(next)
	return nil
}

// mapStore returns a store that keeps what is put until it is deleted.
func mapStore() *callStore {
	var entries sync.Map
	found := func(value any, ok bool) ([]byte, error) {
		if !ok {
			return nil, ErrNotFound
		}
		return bytes.Clone(value.([]byte)), nil
	}
	return &callStore{
		put: func(_ context.Context, key Key, value []byte, _ time.Time, _ Class) error {
			entries.Store(key, bytes.Clone(value))
			return nil
		},
		get:    func(_ context.Context, key Key) ([]byte, error) { return found(entries.Load(key)) },
		take:   func(_ context.Context, key Key) ([]byte, error) { return found(entries.LoadAndDelete(key)) },
		delete: func(_ context.Context, key Key) error { entries.Delete(key); return nil },
	}
}

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

// A fixture is an External with its log. The clients of its sessions have proved
// themselves.
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
	f.proved = func(*halfshake.Session) bool { return true }
	t.Cleanup(func() { f.Close() })
	return f
}

// newSession returns a session with an id of the fixture's and a lineage that begins
// now, valid for a minute.
func (f *fixture) newSession(t testing.TB) *halfshake.Session {
	t.Helper()
	return f.draft(t).session(t)
}

// A draft is what a test chooses of a session.
type draft struct {
	id               []byte
	lineage          halfshake.Lineage
	scope            halfshake.ScopeID
	created, expires time.Time
	earlyData        bool
}

// draft returns what newSession makes a session of.
func (f *fixture) draft(t testing.TB) draft {
	t.Helper()
	id, err := f.Callbacks().NewID(halfshake.ConnInfo{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	return draft{id: id, lineage: lineageAt(now), created: now, expires: now.Add(time.Minute)}
}

// lineageAt returns a lineage that begins at the given time.
func lineageAt(at time.Time) (l halfshake.Lineage) {
	binary.BigEndian.PutUint64(l[:], uint64(at.UnixMilli())<<16)
	crand.Read(l[6:])
	return l
}

// session makes the session by its encoding, which encoding.go of the root package
// documents. Its state is that of crypto/tls in TLS 1.3.
func (d draft) session(t testing.TB) *halfshake.Session {
	t.Helper()
	secret := fmt.Appendf(nil, "a secret that only these tests know: %x", d.id[:4])
	testsecrets.Record(d.id, secret)
	early := byte(0)
	if d.earlyData {
		early = 1
	}
	state := []byte{0x03, 0x04, 1, 0x13, 0x01}
	state = binary.BigEndian.AppendUint64(state, uint64(d.created.Unix()))
	state = append(append(state, byte(len(secret))), secret...)
	state = append(state, 0, 0, 0, 1, early, 0, 0, 0, 0, 0, 0)
	if d.earlyData {
		state = append(state, 2, 'h', '3')
	}

	b := binary.BigEndian.AppendUint32(nil, 0x48530002)
	b = append(append(b, byte(len(d.id))), d.id...)
	b = append(b, d.lineage[:]...)
	b = binary.BigEndian.AppendUint16(b, 0x0304)
	b = binary.BigEndian.AppendUint16(b, 0x1301)
	for _, at := range []time.Time{d.created, d.expires} {
		b = binary.BigEndian.AppendUint64(b, uint64(at.Unix()))
	}
	b = binary.BigEndian.AppendUint64(b, 0) // limit
	b = append(b, 0, 0)
	b = append(append(b, d.scope[:]...), make([]byte, 32-len(d.scope))...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(state)))
	b = append(b, state...)
	b = append(b, 0, 0) // fields
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	s, err := halfshake.ParseSession(b)
	if err != nil {
		t.Fatal(err)
	}
	if s.EarlyData() != d.earlyData {
		t.Fatal("the state is not the one of this crypto/tls")
	}
	return s
}

func (f *fixture) put(t testing.TB, s *halfshake.Session) {
	t.Helper()
	if !f.Callbacks().New(t.Context(), halfshake.ConnInfo{}, s) {
		t.Error("New declined a session, which the internal cache may well keep")
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

func (f *fixture) admit(t testing.TB, s *halfshake.Session) bool {
	t.Helper()
	return f.Callbacks().Admit(t.Context(), halfshake.ConnInfo{}, s)
}

// finished is a context that is done: remove does not wait for the store.
var finished = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

func (f *fixture) remove(s *halfshake.Session, cause halfshake.Cause) {
	f.Callbacks().Remove(finished, nil, s, cause)
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
