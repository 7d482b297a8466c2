package external_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"log/slog"
	"net"
	"slices"
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

// A site is a historian whose sessions come from real handshakes with a Cache, over the
// External of the moment. Its clients come again and again, through each door, and what
// was removed must not resume.
type site struct {
	historian
	certificate tls.Certificate
	cache       *halfshake.Cache
	doors       []func(net.Conn) net.Conn
	clients     []*visitor

	during         func()             // runs in the next handshake, after the session was found
	parent, issued *halfshake.Session // of the handshake in progress
}

// Removals of one session.
const (
	itself    = "it was removed"
	itsParent = "its parent was removed meanwhile"
)

// A visitor is a client, which always offers its newest session.
type visitor struct {
	config  *tls.Config
	session *halfshake.Session // what the jar holds, as the Cache made it; nil if it was not stored
}

var siteEvents = []func(*site, uint16){
	(*site).visit, (*site).visit, (*site).visit, (*site).visit, (*site).visit, (*site).visit,
	(*site).remove, (*site).removeLineage, (*site).flush, (*site).replaceKeys, (*site).meanwhile, (*site).addAgain,
	(*site).restart, (*site).crash, (*site).wait, (*site).fault, (*site).heal, (*site).heal,
}

// cacheHistory plays a history: three bytes an event.
func cacheHistory(t *testing.T, data []byte) *site {
	s := &site{}
	synctest.Test(t, func(t *testing.T) {
		s.T, s.store = t, storetest.NewFaulty(memstore.New(memstore.Config{}))
		ca := testca.Root("history", testca.ECDSA)
		s.certificate = ca.Server("a.example")
		for i := range 6 {
			version := uint16(tls.VersionTLS12 + i%2)
			s.clients = append(s.clients, &visitor{config: &tls.Config{
				RootCAs: ca.Pool(), ServerName: "a.example", MinVersion: version, MaxVersion: version,
				ClientSessionCache: tls.NewLRUClientSessionCache(1), KeyLogWriter: testsecrets.KeyLog(),
			}})
		}
		s.use(external.GenerateKeys(time.Now()))
		s.open()
		for len(data) >= 3 && !t.Failed() {
			siteEvents[int(data[0])%len(siteEvents)](s, binary.BigEndian.Uint16(data[1:]))
			s.settle()
			data = data[3:]
		}
		s.heal(0)
		s.close()
	})
	return s
}

// open begins a process: the External and the Cache over it.
func (s *site) open() {
	s.historian.open()
	callbacks := s.sessions.Callbacks()
	admit, keep := callbacks.Admit, callbacks.New
	callbacks.Admit = func(ctx context.Context, info halfshake.ConnInfo, session *halfshake.Session) bool {
		s.parent = session
		return admit(ctx, info, session)
	}
	callbacks.New = func(ctx context.Context, info halfshake.ConnInfo, session *halfshake.Session) bool {
		s.issued = session
		return keep(ctx, info, session)
	}
	var err error
	s.cache, err = halfshake.New(halfshake.Config{Callbacks: callbacks, Size: 4, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		s.Fatal(err)
	}
	base := &tls.Config{Certificates: []tls.Certificate{s.certificate}, VerifyConnection: func(tls.ConnectionState) error {
		if during := s.during; during != nil {
			s.during = nil
			during()
		}
		return nil
	}}
	shared, err := s.cache.ServerConfig(base)
	if err != nil {
		s.Fatal(err)
	}
	s.doors = []func(net.Conn) net.Conn{
		func(conn net.Conn) net.Conn { return tls.Server(conn, shared) },
		func(conn net.Conn) net.Conn {
			own, err := s.cache.Server(conn, base)
			if err != nil {
				s.Fatal(err)
			}
			return own
		},
	}
}

// close ends the process. What it says of the store's faults is not of interest.
func (s *site) close() {
	s.cache.Close()
	s.sessions.Close()
}

// settle notes which removals the store has acknowledged.
func (s *site) settle() {
	if s.cache.Stats().RemovalsPending+s.sessions.Stats().RemovalsPending > 0 {
		return
	}
	for i := range s.removed {
		s.removed[i].durable = true
	}
}

// visit has a client connect. Its handshake must succeed, and not resume what was
// removed before it began.
func (s *site) visit(arg uint16) {
	client := s.clients[int(arg)%len(s.clients)]
	gone := "it was not stored"
	if client.session != nil {
		gone, _ = s.whyGone(client.session)
	}
	time.Sleep(time.Millisecond) // a lineage begins after the floor
	s.parent, s.issued = nil, nil
	resumed := connect(s.T, client.config, s.doors[int(arg>>8)%len(s.doors)])
	switch {
	case !resumed:
	case gone != "":
		s.Errorf("a session resumed: %s", gone)
	default:
		s.found++
	}
	if gone != "" {
		s.refused++
	}
	if s.issued != nil {
		client.session = s.issued
	} else if !resumed || client.config.MaxVersion == tls.VersionTLS13 {
		client.session = nil // what the server did not store, the client has all the same
	}
}

// any returns a session that a client holds, or nil.
func (s *site) any(arg uint16) *halfshake.Session { return s.clients[int(arg)%len(s.clients)].session }

func (s *site) remove(arg uint16) { s.removeNow(s.any(arg)) }

func (s *site) removeNow(session *halfshake.Session) {
	if session == nil {
		return
	}
	s.cache.Remove(session)
	s.noteID(itself, string(session.ID()))
}

func (s *site) noteID(what, id string) {
	s.note(what, false, false, func(other *halfshake.Session) bool { return string(other.ID()) == id })
}

func (s *site) removeLineage(arg uint16) { s.removeLineageNow(s.any(arg)) }

func (s *site) removeLineageNow(session *halfshake.Session) {
	if session == nil {
		return
	}
	lineage := session.Lineage()
	err := s.cache.RemoveLineage(lineage)
	s.note("its lineage was removed", err == nil, false, func(other *halfshake.Session) bool { return other.Lineage() == lineage })
}

func (s *site) flush(arg uint16) {
	if arg%4 == 0 {
		s.flushNow()
	}
}

func (s *site) flushNow() {
	now := time.Now()
	s.cache.Flush(time.Time{})
	s.note("everything was flushed", false, false, func(other *halfshake.Session) bool { return !other.LineageStart().After(now) })
}

func (s *site) replaceKeys(arg uint16) {
	s.made = s.made[:0]
	for _, client := range s.clients {
		if client.session != nil {
			s.made = append(s.made, client.session)
		}
	}
	s.setKeys(arg)
}

// meanwhile has a client resume, and removes what it resumes while it does. That
// connection may resume. What it makes must not.
func (s *site) meanwhile(arg uint16) {
	remove := []func(){
		func() { s.removeNow(s.parent) },
		func() { s.removeLineageNow(s.parent) },
		s.flushNow,
	}[int(arg>>4)%3]
	var removed bool
	s.during = func() { removed = s.parent != nil; remove() }
	s.visit(arg)
	s.during = nil
	if removed && s.issued != nil && s.issued.Lineage() == s.parent.Lineage() {
		s.noteID(itsParent, string(s.issued.ID()))
	}
}

// addAgain adds a session that may have been removed, which lifts the removal of that
// session, and no other.
func (s *site) addAgain(arg uint16) {
	session := s.any(arg)
	if session == nil || !s.cache.Add(session) {
		return
	}
	s.removed = slices.DeleteFunc(s.removed, func(r removal) bool {
		return (r.what == itself || r.what == itsParent) && r.names(session)
	})
}

func (s *site) restart(arg uint16) {
	s.close()
	if arg%4 == 0 {
		s.use(s.rings[int(arg>>4)%len(s.rings)])
	}
	s.next()
}

// crash ends the process without a last word.
func (s *site) crash(uint16) {
	s.store.SetAll(storetest.Fail)
	s.close()
	s.store.Heal()
	s.next()
}

func (s *site) next() {
	s.settle()
	s.removed = slices.DeleteFunc(s.removed, func(r removal) bool { return !r.durable })
	s.open()
}

// TestCacheHistories is TestHistories through a Cache and its engines: nothing that was
// removed resumes.
func TestCacheHistories(t *testing.T) {
	playHistories(t, cacheHistories, 5, 5, func(data []byte) *historian { return &cacheHistory(t, data).historian })
}

func FuzzCacheHistory(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 12, 0, 1, 0, 0, 0})
	f.Add([]byte{0, 1, 1, 0, 1, 1, 7, 0, 1, 0, 1, 1, 12, 0, 1, 0, 1, 1})
	f.Add([]byte{0, 0, 1, 10, 0, 1, 0, 0, 1, 10, 0, 17, 0, 0, 1, 13, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, data []byte) { cacheHistory(t, data[:min(len(data), 3*200)]) })
}
