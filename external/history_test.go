package external_test

import (
	"context"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/external"
	"github.com/halfshake/halfshake/external/memstore"
	"github.com/halfshake/halfshake/external/storetest"
)

// A removal is what a history has removed: which sessions, and whether the External has
// said that the store recorded it, so that a crash does not undo it.
type removal struct {
	what    string
	names   func(*halfshake.Session) bool
	durable bool
	inside  bool // it must hold for what a Cache has in its own memory, too
}

// A historian makes a history of one External after another over one faulty store, and
// remembers what was removed. It lets nothing that was removed be found or admitted,
// and no session that allows early data be admitted twice.
type historian struct {
	*testing.T
	store    *storetest.Faulty
	ring     *external.KeyRing
	rings    []*external.KeyRing // all that were in force
	sessions *external.External
	made     []*halfshake.Session
	inside   map[*halfshake.Session]bool // in a Cache's own memory
	admitted map[*halfshake.Session]int
	removed  []removal

	found, refused int
}

// maxSessions is how many sessions a historian has an eye on.
const maxSessions = 40

// An event is one step of a history, with an argument.
var events = []func(*historian, uint16){
	(*historian).handshake, (*historian).handshake, (*historian).resume, (*historian).resume, (*historian).resume,
	(*historian).remove, (*historian).removeForCause, (*historian).endLineage, (*historian).flush, (*historian).setKeys,
	(*historian).restart, (*historian).crash, (*historian).wait, (*historian).wait, (*historian).fault, (*historian).heal,
}

// history plays a history: three bytes an event.
func history(t *testing.T, data []byte) *historian {
	h := &historian{inside: make(map[*halfshake.Session]bool), admitted: make(map[*halfshake.Session]int)}
	synctest.Test(t, func(t *testing.T) {
		h.T, h.store = t, storetest.NewFaulty(memstore.New(memstore.Config{}))
		h.use(external.GenerateKeys(time.Now()))
		h.open()
		for len(data) >= 3 && !t.Failed() {
			events[int(data[0])%len(events)](h, binary.BigEndian.Uint16(data[1:]))
			data = data[3:]
			h.check()
		}
		h.heal(0)
		h.sessions.Close()
	})
	return h
}

func (h *historian) open() {
	var err error
	h.sessions, err = external.New(h.store, external.Config{Keys: h.ring, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		h.Fatal(err)
	}
}

func (h *historian) use(ring *external.KeyRing) {
	external.RecordKeys(ring)
	h.ring = ring
	h.rings = append(h.rings, ring)
}

// check looks for everything that was removed.
func (h *historian) check() {
	h.Helper()
	if h.sessions.Stats().RemovalsPending == 0 {
		for i := range h.removed {
			h.removed[i].durable = true
		}
	}
	for i, s := range h.made {
		what, inside := h.whyGone(s)
		if what == "" {
			continue
		}
		h.refused++
		if got := h.get(s); got != nil && h.admit(got) {
			h.Errorf("session %d resumes from the store: %s", i, what)
		}
		if inside && h.admit(s) {
			h.Errorf("session %d resumes from memory: %s", i, what)
		}
	}
}

// whyGone returns why s must not resume, "" if it may, and whether Admit must know.
func (h *historian) whyGone(s *halfshake.Session) (what string, inside bool) {
	if !h.ring.Made(s.ID()) {
		return "its key is not in the ring", true
	}
	for _, r := range h.removed {
		if r.names(s) {
			what, inside = r.what, inside || r.inside
		}
	}
	return what, inside
}

func (h *historian) get(s *halfshake.Session) *halfshake.Session {
	got, err := h.sessions.Callbacks().Get(h.Context(), halfshake.ConnInfo{}, s.ID())
	if err != nil {
		h.Error(err)
	}
	return got
}

func (h *historian) admit(s *halfshake.Session) bool {
	return h.sessions.Callbacks().Admit(h.Context(), halfshake.ConnInfo{}, s)
}

func (h *historian) make(lineage halfshake.Lineage, scope halfshake.ScopeID, earlyData bool) {
	if len(h.made) == maxSessions {
		h.made = slices.Delete(h.made, 0, 1)
	}
	id, err := h.sessions.Callbacks().NewID(halfshake.ConnInfo{})
	if err != nil {
		h.Fatal(err)
	}
	s := external.SessionOf(h.T, id, lineage, scope, earlyData)
	h.made = append(h.made, s)
	h.inside[s] = true
	h.sessions.Callbacks().New(h.Context(), halfshake.ConnInfo{}, s)
}

func (h *historian) handshake(arg uint16) {
	time.Sleep(time.Millisecond) // a lineage begins after the floor
	h.make(external.LineageAt(time.Now()), halfshake.ScopeID{1 + byte(arg)&1}, arg&2 != 0)
}

// pick returns one of the last sessions, nil if there is none: most of the others are
// gone.
func (h *historian) pick(arg uint16) *halfshake.Session {
	n := len(h.made)
	if n == 0 {
		return nil
	}
	return h.made[n-1-int(arg>>2)%min(n, 6)]
}

// resume offers a session, from the store or from a Cache's own memory, and makes a
// child of it if it resumes.
func (h *historian) resume(arg uint16) {
	s := h.pick(arg)
	switch {
	case s == nil:
		return
	case arg&1 == 0:
		if got := h.get(s); got == nil || !h.admit(got) {
			return
		}
	case !h.inside[s] || !h.admit(s):
		return
	}
	h.found++
	h.admitted[s]++
	if s.EarlyData() && h.admitted[s] > 1 {
		h.Errorf("a session that allows early data was admitted %d times", h.admitted[s])
	}
	h.make(s.Lineage(), s.ScopeID(), arg&2 != 0)
}

func (h *historian) note(what string, durable, inside bool, names func(*halfshake.Session) bool) {
	h.removed = append(h.removed, removal{what, names, durable, inside})
}

func (h *historian) remove(arg uint16)         { h.removeSession(arg, halfshake.CauseExplicit) }
func (h *historian) removeForCause(arg uint16) { h.removeSession(arg, halfshake.CauseAlert) }

func (h *historian) removeSession(arg uint16, cause halfshake.Cause) {
	s := h.pick(arg)
	if s == nil {
		return
	}
	if !h.ring.Made(s.ID()) { // refused whatever is removed, as long as its key is gone
		return
	}
	delete(h.inside, s)
	ctx, cancel := context.WithTimeout(h.Context(), time.Second)
	defer cancel()
	h.sessions.Callbacks().Remove(ctx, nil, s, cause)
	h.note("removed: "+cause.String(), false, false, func(other *halfshake.Session) bool { return other == s })
	if arg&2 != 0 { // the handshake that made it was late
		h.sessions.Callbacks().New(h.Context(), halfshake.ConnInfo{}, s)
	}
}

func (h *historian) endLineage(arg uint16) {
	s := h.pick(arg)
	if s == nil {
		return
	}
	r := halfshake.Removal{Lineage: s.Lineage(), Until: time.Now().Add(time.Hour)}
	h.note("its lineage has ended", h.end(r) == nil, true, r.Ends)
}

func (h *historian) flush(arg uint16) {
	if arg%4 != 0 {
		return
	}
	r := halfshake.Removal{Scope: halfshake.ScopeID{1 + byte(arg>>4)&1}, Before: time.Now(), Until: time.Now().Add(time.Hour)}
	h.note("its scope was flushed", h.end(r) == nil, true, r.Ends)
}

func (h *historian) end(r halfshake.Removal) error {
	ctx, cancel := context.WithTimeout(h.Context(), time.Second)
	defer cancel()
	return h.sessions.Callbacks().End(ctx, r)
}

// setKeys rotates the ring, leaves a key out, replaces it, or goes back to one that was
// in force before.
func (h *historian) setKeys(arg uint16) {
	next, now := h.ring, time.Now()
	text, err := next.MarshalText()
	if err != nil {
		h.Fatal(err)
	}
	lines := strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n")
	switch kind := arg % 16; kind {
	default:
		next, _ = h.ring.Rotate(now, now.Add(time.Duration(kind)*time.Hour)) // may be refused
	case 8, 9:
		if left := 1 + int(arg>>4)%(len(lines)-1); len(lines) > 2 {
			text := strings.Join(append(lines[:left:left], lines[left+1:]...), "")
			next, err = external.ParseKeys([]byte(strings.TrimSuffix(text, "\n") + "\n"))
			if err != nil {
				h.Fatal(err)
			}
		}
	case 10:
		next = external.GenerateKeys(now)
	case 11:
		next = h.rings[int(arg>>4)%len(h.rings)]
	}
	if next == nil {
		return
	}
	old := h.ring
	err = h.sessions.SetKeys(next)
	h.use(next)
	// Every lineage that has a session under a key which is gone has ended.
	ended := make(map[halfshake.Lineage]bool)
	for _, s := range h.made {
		if old.Made(s.ID()) && !next.Made(s.ID()) {
			ended[s.Lineage()] = true
		}
	}
	h.note("its lineage passed through a key that is gone", err == nil, true, func(s *halfshake.Session) bool { return ended[s.Lineage()] })
}

// restart closes the External and opens the next, sometimes with keys that were in force
// before. What was removed and not recorded may resume again, and only then.
func (h *historian) restart(arg uint16) {
	h.sessions.Close()
	if arg%4 == 0 {
		h.use(h.rings[int(arg>>4)%len(h.rings)])
	}
	h.next()
}

// crash ends the External without a last word.
func (h *historian) crash(uint16) {
	h.store.SetAll(storetest.Fail)
	h.sessions.Close()
	h.store.Heal()
	h.next()
}

// next opens the next External, whose Cache has an empty memory.
func (h *historian) next() {
	if h.sessions.Stats().RemovalsPending > 0 {
		h.removed = slices.DeleteFunc(h.removed, func(r removal) bool { return !r.durable })
	}
	clear(h.inside)
	h.open()
}

func (h *historian) wait(arg uint16) {
	for _, d := range []time.Duration{time.Millisecond, 50 * time.Millisecond, time.Second, time.Minute}[:1+arg%4] {
		time.Sleep(d * time.Duration(1+arg>>12))
	}
}

// fault has some calls fail, or lie about what is there. A store that says it did what
// it did not, or brings back what it deleted, is beyond help.
func (h *historian) fault(arg uint16) {
	faults := []storetest.Fault{
		storetest.Fail, storetest.FailDone, storetest.Hang, storetest.HangDone, storetest.Panic, storetest.ReadOnly, storetest.Full,
		storetest.OtherKey, storetest.Flipped, storetest.Truncated, storetest.Garbage, storetest.Oversize, storetest.Empty, storetest.Nil,
	}
	if arg&1 == 0 {
		h.store.SetAll(faults[int(arg>>4)%len(faults)])
		return
	}
	h.store.SetFunc(storetest.Randomly(uint64(arg), 0.4, faults...))
}

func (h *historian) heal(uint16) { h.store.Heal() }

// Nothing that was removed is found or admitted again, whatever happens between.
func TestHistories(t *testing.T) {
	playHistories(t, histories, 2, 100, func(data []byte) *historian { return history(t, data) })
}

// playHistories plays n histories of 100 events. On average each must have so many
// resumptions, and checks of what was removed: fewer would show little.
func playHistories(t *testing.T, n, resumptions, checks int, play func(data []byte) *historian) {
	found, refused := 0, 0
	for seed := range uint64(n) {
		data := make([]byte, 3*100)
		source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
		source.Read(data)
		h := play(data)
		found, refused = found+h.found, refused+h.refused
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d resumptions, %d checks of what was removed", found, refused)
	if found < resumptions*n || refused < checks*n {
		t.Errorf("%d histories had %d resumptions and %d checks: this test shows little", n, found, refused)
	}
}

func FuzzHistory(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 0, 1, 5, 0, 0, 11, 0, 0, 2, 0, 0})
	f.Add([]byte{0, 0, 2, 12, 0, 2, 2, 0, 0, 10, 0, 0, 2, 0, 1})
	f.Add([]byte{0, 0, 0, 12, 0, 2, 14, 0, 0, 7, 0, 0, 15, 0, 0, 12, 0, 3, 11, 0, 0, 2, 0, 0})
	f.Add([]byte{0, 0, 0, 9, 0, 0, 2, 0, 1, 9, 0, 10, 10, 0, 0, 9, 0, 11, 2, 0, 0, 2, 0, 4})
	f.Fuzz(func(t *testing.T, data []byte) { history(t, data[:min(len(data), 3*300)]) })
}
