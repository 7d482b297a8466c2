package halfshake

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"testing"
	"time"
)

// A clientHistory plays events on a client's cache, with an external cache or without one,
// and restarts of its process. Its model is what is known of each ticket: a ticket that the
// client offers must be one that it got for this destination, and that was not removed, has
// not expired and, in TLS 1.3, was not offered before. Every connection succeeds, unless it
// offers a session whose secret was damaged, and such a session fails once.
type clientHistory struct {
	testing.TB
	db       *clientDB // nil without an external cache
	clock    *clock
	cache    *Cache
	bases    []*tls.Config
	peers    []*peer
	tickets  map[string]*ticketModel
	resumed  int
	visiting int // the destination
}

type ticketModel struct {
	session                *Session
	destination            int
	gone                   string // why it must not be offered
	used, damaged, foreign bool
}

var clientEvents = []func(*clientHistory, byte){
	(*clientHistory).visit, (*clientHistory).visit, (*clientHistory).visit, (*clientHistory).visit, (*clientHistory).visit,
	(*clientHistory).remove, (*clientHistory).removeLineage, (*clientHistory).flush, (*clientHistory).damage,
	(*clientHistory).restart, (*clientHistory).wait, (*clientHistory).replaceServer, (*clientHistory).resize, (*clientHistory).setMode,
	(*clientHistory).forget,
}

// playClientHistory plays a history: a byte that says what cache it is, and two an event.
func playClientHistory(t testing.TB, data []byte) *clientHistory {
	h := &clientHistory{TB: t, clock: newClock(), tickets: make(map[string]*ticketModel)}
	if len(data) == 0 {
		return h
	}
	if data[0]%2 == 1 {
		h.db = newClientDB()
	}
	for i := range 4 {
		base := clientBase(versions[i%2])
		base.ServerName = []string{"a.example", "b.example"}[i/2]
		h.bases, h.peers = append(h.bases, base), append(h.peers, newPeer(serverConfig()))
	}
	h.open()
	for data = data[1:]; len(data) >= 2 && !t.Failed(); data = data[2:] {
		clientEvents[int(data[0])%len(clientEvents)](h, data[1])
		checkCache(t, h.cache)
		if len(h.cache.offers.ids) > 2*h.cache.internal.Len()+offersSlack {
			t.Error("the index of offers is not bounded")
		}
	}
	h.cache.Close()
	return h
}

// open begins a process.
func (h *clientHistory) open() {
	var callbacks Callbacks
	if h.db != nil {
		callbacks = h.db.callbacks()
	}
	keep := callbacks.New
	callbacks.New = func(ctx context.Context, info ConnInfo, s *Session) bool {
		recordClientSession(s)
		if old := h.tickets[string(s.field(fieldTicket))]; old != nil {
			h.Error("one ticket became two sessions")
		}
		for _, m := range h.tickets { // a new ticket for a TLS 1.2 session
			if m.session.id == s.id {
				m.gone = "it was replaced"
			}
		}
		h.tickets[string(s.field(fieldTicket))] = &ticketModel{session: s, destination: h.visiting}
		return keep == nil || keep(ctx, info, s)
	}
	cache, err := New(Config{Mode: ModeClient, Time: h.clock.Now, Timeout: time.Minute, Size: 6, Callbacks: callbacks, Logger: discard()})
	if err != nil {
		h.Fatal(err)
	}
	h.cache = cache
}

func (h *clientHistory) visit(arg byte) {
	h.visiting = int(arg) % len(h.bases)
	p := h.peers[h.visiting]
	_, before := p.seen()
	config := must(h.cache.ClientConfig(h.bases[h.visiting], h.bases[h.visiting].ServerName+":443"))(h)
	cs, err := p.visit(h, config)
	_, after := p.seen()
	if len(after) == len(before) {
		if err != nil || cs.DidResume {
			h.Errorf("without an offer: resumed %v, %v", cs.DidResume, err)
		}
		return
	}
	m := h.tickets[string(after[len(after)-1])]
	if m == nil {
		h.Fatal("a ticket was offered that the client never got")
	}
	h.judge(m, cs.DidResume, err)
}

// judge says what is wrong with a connection that offered a ticket.
func (h *clientHistory) judge(m *ticketModel, resumed bool, err error) {
	switch {
	case m.gone != "" && m.gone != "it was replaced": // while it was resumed
		h.Errorf("a session was offered: %s", m.gone)
	case m.destination != h.visiting:
		h.Error("a session was offered to another destination")
	case m.session.expiredAt(h.clock.Now()):
		h.Error("an expired session was offered")
	case m.used && m.session.SingleUse():
		h.Error("a ticket of TLS 1.3 was offered twice")
	case (err != nil) != (m.damaged && !m.foreign):
		h.Errorf("damaged %v, the server knows it %v: %v", m.damaged, !m.foreign, err)
	case err == nil && resumed == m.foreign:
		h.Errorf("resumed %v; the server knows the ticket: %v", resumed, !m.foreign)
	}
	m.used = true
	if err != nil {
		m.gone = "its handshake failed"
	} else if resumed {
		h.resumed++
	}
}

// any returns a session that is in the cache, or nil.
func (h *clientHistory) any(arg byte) *Session {
	n := 0
	var chosen *Session
	for s := range h.cache.Sessions() {
		if n++; chosen == nil || int(arg)%n == 0 {
			chosen = s
		}
	}
	return chosen
}

func (h *clientHistory) gone(why string, of func(*Session) bool) {
	for _, m := range h.tickets {
		if of(m.session) {
			m.gone = why
		}
	}
}

func (h *clientHistory) remove(arg byte) {
	if s := h.any(arg); s != nil {
		h.cache.Remove(s)
		h.gone("it was removed", func(other *Session) bool { return other.id == s.id })
	}
}

func (h *clientHistory) removeLineage(arg byte) {
	if s := h.any(arg); s != nil {
		h.cache.RemoveLineage(s.Lineage())
		h.gone("its lineage was removed", func(other *Session) bool { return other.lineage == s.lineage })
	}
}

func (h *clientHistory) flush(arg byte) {
	if arg%4 == 0 {
		h.cache.Flush(time.Time{})
		h.gone("everything was flushed", func(*Session) bool { return true })
		h.clock.Advance(time.Second) // the next process does not know the floor
	}
}

// damage gives a session in the cache a wrong secret.
func (h *clientHistory) damage(arg byte) {
	s := h.any(arg)
	if s == nil || h.db != nil { // whose Remove, for what is replaced, would keep the good one
		return
	}
	wrong := withWrongSecret(s)
	recordClientSession(wrong)
	if m := h.tickets[string(s.field(fieldTicket))]; m != nil && h.cache.Add(wrong) {
		m.damaged = !m.damaged
	}
}

func (h *clientHistory) restart(byte) {
	h.cache.Close()
	if h.db == nil {
		h.gone("its process has ended", func(*Session) bool { return true })
	} else { // the revocations of this external cache are in the process alone
		for _, m := range h.tickets {
			if m.gone != "" {
				delete(h.db.sessions, m.session.id)
			}
		}
	}
	h.open()
}

func (h *clientHistory) wait(arg byte) { h.clock.Advance(time.Duration(arg%40) * time.Second) }

// replaceServer has a server forget its ticket keys.
func (h *clientHistory) replaceServer(arg byte) {
	i := int(arg) % len(h.peers)
	h.peers[i] = newPeer(serverConfig())
	for _, m := range h.tickets {
		if m.destination == i {
			m.foreign = true
		}
	}
}

func (h *clientHistory) resize(arg byte) { h.cache.SetSize(1 + int(arg)%6) }

func (h *clientHistory) setMode(arg byte) {
	h.cache.SetMode([]Mode{ModeClient, ModeBoth, ModeOff, ModeClient | ModeNoInternalStore, ModeClient | ModeNoInternalLookup, ModeClient}[int(arg)%6])
}

// forget has crypto/tls say that a handshake failed.
func (h *clientHistory) forget(arg byte) {
	base := h.bases[int(arg)%len(h.bases)]
	config := must(h.cache.ClientConfig(base, base.ServerName+":443"))(h)
	config.ClientSessionCache.Put(base.ServerName, nil)
}

// TestClientHistories plays random histories.
func TestClientHistories(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	resumed := 0
	for i := range 60 {
		data := make([]byte, 1+2*60)
		for j := range data {
			data[j] = byte(random.Uint32())
		}
		resumed += playClientHistory(t, data).resumed
		if t.Failed() {
			t.Fatalf("history %d: %x", i, data)
		}
	}
	if resumed < 200 {
		t.Errorf("only %d resumptions: the histories say little", resumed)
	}
}

func FuzzClientHistory(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0})
	f.Add([]byte{1, 0, 1, 0, 1, 9, 0, 0, 1, 6, 0, 0, 1})
	f.Add([]byte{0, 0, 0, 8, 0, 0, 0, 0, 0, 11, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) { playClientHistory(t, data[:min(len(data), 1+2*100)]) })
}
