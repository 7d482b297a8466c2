package conformance

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/internal/testsecrets"
)

// A server is a Cache and the configuration of its connections.
type server struct {
	world  *world
	cache  *halfshake.Cache
	config *tls.Config // its ServerName carries what TrustID answers

	switchName string // clients of this name are served under switchTo's configuration
	switchTo   *server

	onNew, onGet, onRemove, onHello action
	ids                             []string
	annotation                      string

	open   opener // for the configuration as it is; nil after a change
	closer func()
}

// An action is what a callback does, and a command that it runs once.
type action struct {
	words []string
	then  []string
}

// A conn is the server's side of a connection.
type conn interface {
	net.Conn
	HandshakeContext(context.Context) error
	CloseWrite() error
	ConnectionState() tls.ConnectionState
}

// An opener makes the server's side of a connection.
type opener func(net.Conn) (conn, error)

func (w *world) makeCache(name, scope string) {
	s := &server{world: w, ids: []string{"ids", "default"}, config: &tls.Config{Certificates: []tls.Certificate{serverCert}, Time: w.clock}}
	cfg := halfshake.Config{
		Scope: scope, TrustID: func(config *tls.Config) string { return config.ServerName }, Time: w.clock,
		Logger: slog.New(slog.NewTextHandler(testsecrets.LogWriter(), nil)),
	}
	if w.variant.engine == "tls12" {
		cfg.SessionIDs = halfshake.SessionIDsAlways
	}
	if w.scenario.UncleanCloseRemoves {
		cfg.UncleanClose = halfshake.UncleanCloseRemove
	}
	if w.scenario.uses("ids") {
		cfg.Callbacks.NewID = s.newID
	}
	if w.scenario.uses("annotate") {
		cfg.Annotate = func(halfshake.ConnInfo, *halfshake.Session) []byte { return []byte(s.annotation) }
	}
	cache, err := halfshake.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	s.cache = cache
	w.caches[name], w.current = s, s
}

// uses reports whether a scenario has a command of that verb.
func (s *Scenario) uses(verb string) bool {
	for _, step := range s.Steps {
		if step.Words[0] == verb {
			return true
		}
	}
	return false
}

func (s *server) close() {
	s.reopen()
	s.cache.Close()
}

// reopen makes later connections use the configuration as it is then.
func (s *server) reopen() {
	if s.closer != nil {
		s.closer()
	}
	s.open, s.closer = nil, nil
}

// number is what callbacks print: the sessions in the internal cache at that moment.
func (s *server) number() int { return int(s.cache.Stats().Number) }

// currentConfig returns the configuration as it is, with what GetConfigForClient answers.
func (s *server) currentConfig() *tls.Config {
	config := s.config.Clone()
	if s.onHello.words == nil && s.switchTo == nil {
		return config
	}
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if s.onHello.words != nil {
			name := hello.ServerName
			if name == "" {
				name = "-"
			}
			s.world.say("hello %s", name)
			s.then(&s.onHello)
		}
		if s.switchTo != nil && hello.ServerName == s.switchName {
			return s.switchTo.config.Clone(), nil
		}
		return nil, nil
	}
	return config
}

// opener returns what opens connections through the variant's door.
func (s *server) opener() (opener, error) {
	if s.open != nil {
		return s.open, nil
	}
	config := s.currentConfig()
	switch s.world.variant.door {
	case "ServerConfig":
		hooked, err := s.cache.ServerConfig(config)
		if err != nil {
			return nil, err
		}
		s.open = func(raw net.Conn) (conn, error) { return tls.Server(raw, hooked), nil }
	case "NewListener":
		inner := newQueue()
		l, err := s.cache.NewListener(inner, config)
		if err != nil {
			return nil, err
		}
		s.closer = func() { l.Close() }
		s.open = func(raw net.Conn) (conn, error) {
			inner.conns <- raw
			c, err := l.Accept()
			if err != nil {
				return nil, err
			}
			return c.(conn), nil
		}
	default:
		if _, err := s.cache.Server(&net.TCPConn{}, config); err != nil {
			return nil, err
		}
		s.open = func(raw net.Conn) (conn, error) { return s.cache.Server(raw, config) }
	}
	return s.open, nil
}

// configure changes the configuration for later connections.
func (s *server) configure(words []string) {
	if v := option(words, "verify"); v != "" {
		s.config.ClientAuth = map[string]tls.ClientAuthType{
			"none": tls.NoClientCert, "request": tls.VerifyClientCertIfGiven, "require": tls.RequireAndVerifyClientCert}[v]
		if s.config.ClientCAs == nil {
			s.config.ClientCAs = clientCA.Pool()
		}
	}
	if v := option(words, "trust"); v == "others" {
		s.config.ClientCAs = otherCA.Pool()
	} else if v != "" {
		s.config.ClientCAs = clientCA.Pool()
	}
	if v := option(words, "suites"); v != "" {
		s.config.CipherSuites = suiteList(v)
	}
	if v := option(words, "max"); v != "" {
		s.config.MaxVersion = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[v]
	}
	if v := option(words, "groups"); v != "" {
		s.config.CurvePreferences = groupList(v)
	}
	if v := option(words, "alpn"); v != "" {
		s.config.NextProtos = strings.Split(v, ",")
	}
	s.reopen() // tickets= and early-data= have no counterpart in crypto/tls over TCP
}

// set sets or unsets a callback at once, as a running program does.
func (s *server) set(words []string) {
	command, then, _ := cutThen(words)
	a := action{words: command[2:], then: then}
	unset := command[2] == "unset"
	if unset {
		a = action{}
	}
	switch command[1] {
	case "new":
		s.onNew = a
		s.cache.SetNewCallback(nil)
		if !unset {
			s.cache.SetNewCallback(s.calledNew)
		}
	case "get":
		s.onGet = a
		s.cache.SetGetCallback(nil)
		if !unset {
			s.cache.SetGetCallback(s.calledGet)
		}
	case "remove":
		s.onRemove = a
		s.cache.SetRemoveCallback(nil)
		if !unset {
			s.cache.SetRemoveCallback(s.calledRemove)
		}
	case "hello":
		s.onHello = a
		s.reopen()
	}
}

// then runs the command of a callback, once.
func (s *server) then(a *action) {
	if then := a.then; then != nil {
		a.then = nil
		s.world.runNested(then)
	}
}

func (s *server) calledNew(_ context.Context, _ halfshake.ConnInfo, session *halfshake.Session) (keep bool) {
	w := s.world
	w.hold(session)
	w.count(func(t *tally) { t.calledNew++ })
	w.say("new %s number=%d", w.nameOf(session.ID()), s.number())
	how := s.onNew.words[0]
	if strings.HasPrefix(how, "store") {
		w.put(session)
	}
	s.then(&s.onNew)
	return !strings.HasSuffix(how, "decline")
}

func (s *server) calledGet(_ context.Context, _ halfshake.ConnInfo, id []byte) (*halfshake.Session, error) {
	w := s.world
	asked := w.nameIfKnown(id)
	session, err := s.answer(id)
	w.count(func(t *tally) { t.calledGet++ })
	name := "none"
	if session != nil {
		name = w.nameOf(session.ID())
	}
	w.say("get %s returns %s number=%d", asked, name, s.number())
	s.then(&s.onGet)
	return session, err
}

func (s *server) answer(id []byte) (*halfshake.Session, error) {
	w := s.world
	switch words := s.onGet.words; words[0] {
	case "store":
		w.mu.Lock()
		record := w.store[string(id)]
		w.mu.Unlock()
		if record == nil {
			return nil, nil
		}
		return halfshake.ParseSession(record)
	case "copy":
		return w.copyOf(w.heldSession(words[1])), nil
	case "object":
		return w.heldSession(words[1]), nil
	}
	return nil, nil
}

func (s *server) calledRemove(_ context.Context, _ *halfshake.Cache, session *halfshake.Session, _ halfshake.Cause) {
	w := s.world
	w.count(func(t *tally) { t.calledRemove++ })
	w.say("remove %s number=%d", w.nameOf(session.ID()), s.number())
	if s.onRemove.words[0] == "delete" {
		w.mu.Lock()
		delete(w.store, string(session.ID()))
		w.mu.Unlock()
	}
	s.then(&s.onRemove)
}

// put stores a record in the external cache.
func (w *world) put(s *halfshake.Session) {
	record, err := s.MarshalBinary()
	if err != nil {
		w.t.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.store[string(s.ID())] = record
}

func (s *server) newID(halfshake.ConnInfo) ([]byte, error) {
	switch s.ids[1] {
	case "fail":
		return nil, fmt.Errorf("no id")
	case "constant":
		return []byte(strings.Repeat("\x07", halfshake.MaxIDSize)), nil
	case "length":
		n, err := strconv.Atoi(s.ids[2])
		return randomBytes(n), err
	}
	return randomBytes(halfshake.MaxIDSize), nil
}

// A queue is a net.Listener of connections that the test puts in.
type queue struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newQueue() *queue { return &queue{conns: make(chan net.Conn, 1), closed: make(chan struct{})} }

func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

func (q *queue) Close() error   { close(q.closed); return nil }
func (q *queue) Addr() net.Addr { return &net.UnixAddr{} }
