package halfshake

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/internal/testleaks"
	"github.com/halfshake/halfshake/internal/testsecrets"
	"github.com/halfshake/halfshake/tls12"
)

func TestMain(m *testing.M) { testleaks.Main(m) }

// The certificates of the tests. The client's chains have two certificates.
var (
	serverCA   = testca.Root("server CA", testca.ECDSA)
	clientRoot = testca.Root("client root", testca.ECDSA)
	clientCA   = clientRoot.Intermediate("client CA")
	otherRoot  = testca.Root("other root", testca.ECDSA)
	serverCert = serverCA.Server("a.example", "b.example", "verified.example", "unscoped.example")
	clientCert = clientCA.Client("alice", time.Now().Add(24*time.Hour))
)

var versions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

// newCache makes a cache whose log goes where the search for secrets looks, and
// checks it when the test ends.
func newCache(t testing.TB, cfg Config) *Cache {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(testsecrets.LogWriter(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		checkCache(t, c)
		c.Close()
		if n := c.Stats().Number; n != 0 {
			t.Errorf("%d sessions after Close", n)
		}
	})
	return c
}

// rested waits for the background work of a cache.
func rested(c *Cache) Stats {
	c.work.Wait()
	return c.Stats()
}

// checkCache checks what always holds of a cache that is at rest.
func checkCache(t testing.TB, c *Cache) {
	t.Helper()
	rested(c)
	seen, bytes := map[string]bool{}, 0
	for s := range c.Sessions() {
		if seen[s.id] {
			t.Errorf("two sessions of one id")
		}
		if !validID(s.id) || s.encodedSize() > MaxSessionSize {
			t.Errorf("%v: an id of %d bytes, %d in all", s, len(s.id), s.encodedSize())
		}
		seen[s.id] = true
		bytes += sessionEntry{s}.Size()
	}
	st := c.Stats()
	if int(st.Number) != len(seen) || int(st.Bytes) != bytes {
		t.Errorf("Stats says %d sessions of %d bytes; they are %d of %d", st.Number, st.Bytes, len(seen), bytes)
	}
	if size := c.Size(); size > 0 && len(seen) > size || int64(bytes) > c.cfg.MaxBytes {
		t.Errorf("%d sessions of %d bytes; the bounds are %d and %d", len(seen), bytes, size, c.cfg.MaxBytes)
	}
}

// A clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now().Truncate(time.Second)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A door is one of the three ways in which a server uses a cache.
type door struct {
	name string
	open func(t testing.TB, c *Cache, config *tls.Config) opener
}

// An opener makes the server's side of a connection.
type opener func(net.Conn) handshaker

type handshaker interface {
	net.Conn
	HandshakeContext(context.Context) error
	ConnectionState() tls.ConnectionState
}

var (
	viaConfig = door{"ServerConfig", func(t testing.TB, c *Cache, config *tls.Config) opener {
		hooked := must(c.ServerConfig(config))(t)
		return func(raw net.Conn) handshaker { return tls.Server(raw, hooked) }
	}}
	viaListener = door{"NewListener", func(t testing.TB, c *Cache, config *tls.Config) opener {
		inner := newQueue(1)
		l := must(c.NewListener(inner, config))(t)
		var mu sync.Mutex
		return func(raw net.Conn) handshaker {
			mu.Lock()
			defer mu.Unlock()
			inner.conns <- raw
			return must(l.Accept())(t).(*tls.Conn)
		}
	}}
	viaServer = door{"Server", func(t testing.TB, c *Cache, config *tls.Config) opener {
		return func(raw net.Conn) handshaker {
			conn := must(c.Server(raw, config))(t)
			if c.cfg.SessionIDs != SessionIDsOff {
				return byID{conn}
			}
			return conn
		}
	}}
	doors = []door{viaConfig, viaListener, viaServer}

	// viaIDs is a listener that resumes TLS 1.2 by session id: the engine is
	// package tls12's, on both sides.
	viaIDs = door{"session ids", func(t testing.TB, c *Cache, config *tls.Config) opener {
		c.cfg.SessionIDs = SessionIDsAlways
		inner := newQueue(0)
		l := must(c.NewListener(inner, config))(t)
		t.Cleanup(func() { l.Close() })
		return func(raw net.Conn) handshaker { return &pendingConn{Conn: raw, queue: inner, listener: l} }
	}}
)

// viaServerIDs is the same without a listener.
var viaServerIDs = door{"Server, session ids", func(t testing.TB, c *Cache, config *tls.Config) opener {
	c.cfg.SessionIDs = SessionIDsAlways
	return viaServer.open(t, c, config)
}}

// byID marks a connection whose client is to be of package tls12.
type byID struct{ *Conn }

// resumesByID reports whether the client of a connection is to be of package
// tls12.
func resumesByID(server handshaker) bool {
	_, listened := server.(*pendingConn)
	_, owned := server.(byID)
	return listened || owned
}

// A pendingConn is a connection of a listener that reads ahead: Accept returns it
// when the client has spoken.
type pendingConn struct {
	net.Conn // the one below, until it is accepted
	queue    *queue
	listener net.Listener
	accepted handshaker
}

func (p *pendingConn) HandshakeContext(ctx context.Context) error {
	p.queue.conns <- p.Conn
	conn, err := p.listener.Accept()
	if err != nil {
		return err
	}
	p.accepted = conn.(handshaker)
	p.Conn = conn
	return p.accepted.HandshakeContext(ctx)
}

func (p *pendingConn) ConnectionState() tls.ConnectionState { return p.accepted.ConnectionState() }
func (p *pendingConn) NetConn() net.Conn                    { return p.Conn }

// A queue is a net.Listener of connections that the test puts in.
type queue struct {
	conns chan net.Conn

	once   sync.Once
	closed chan struct{}
}

func newQueue(room int) *queue {
	return &queue{conns: make(chan net.Conn, room), closed: make(chan struct{})}
}

func (q *queue) Accept() (net.Conn, error) {
	select {
	case conn := <-q.conns:
		return conn, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

func (q *queue) Close() error   { q.once.Do(func() { close(q.closed) }); return nil }
func (q *queue) Addr() net.Addr { return &net.UnixAddr{} }

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// serverConfig is a server without client certificates.
func serverConfig() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{serverCert}}
}

// verifying is a server that verifies client certificates.
func verifying() *tls.Config {
	cfg := serverConfig()
	cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, clientRoot.Pool()
	return cfg
}

// A client is a TLS client with a jar for the one session it will offer next.
type client struct {
	version    uint16
	serverName string
	cert       *tls.Certificate
	suites     []uint16
	protos     []string

	jar *jar
}

func newClient(version uint16) *client {
	return &client{version: version, serverName: "a.example", jar: &jar{}}
}

func (c *client) withCert(cert tls.Certificate) *client { c.cert = &cert; return c }

func (c *client) config() *tls.Config {
	cfg := &tls.Config{
		RootCAs: serverCA.Pool(), ServerName: c.serverName, MinVersion: c.version, MaxVersion: c.version,
		CipherSuites: c.suites, NextProtos: c.protos,
		ClientSessionCache: c.jar, KeyLogWriter: testsecrets.KeyLog(),
	}
	cfg.InsecureSkipVerify = c.serverName == "" // which has nothing to verify
	if c.cert != nil {
		cfg.Certificates = []tls.Certificate{*c.cert}
	}
	return cfg
}

// A jar is a ClientSessionCache of one session, whatever the name; every session
// in it is recorded for the search for secrets.
type jar struct {
	mu      sync.Mutex
	session *tls.ClientSessionState
	byID    *tls12.Session // of a client of package tls12
	frozen  bool           // keeps what it has, as a client does that reuses one session
}

// keep is Put for a client of package tls12.
func (j *jar) keep(s *tls12.Session) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if s == nil || j.frozen {
		return
	}
	j.byID = s
	testsecrets.Record(s.ID, s.MasterSecret)
}

func (j *jar) Get(string) (*tls.ClientSessionState, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.session, j.session != nil
}

func (j *jar) Put(_ string, s *tls.ClientSessionState) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if s == nil || j.frozen {
		return
	}
	j.session = s
	ticket, state, err := s.ResumptionState()
	if err != nil || state == nil {
		return
	}
	bytes, _ := state.Bytes()
	testsecrets.Record(ticket, clientSecret(bytes))
}

// clientSecret is the secret in the encoding of a client's session, whose head is
// that of a server's: version, type, suite, created_at.
func clientSecret(state []byte) []byte {
	const head = 2 + 1 + 2 + 8
	if len(state) < head+1 || len(state) < head+1+int(state[head]) {
		return nil
	}
	return state[head+1 : head+1+int(state[head])]
}

// saved returns what puts back the session that the jar holds now.
func (j *jar) saved() (restore func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	session, byID := j.session, j.byID
	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.session, j.byID = session, byID
	}
}

// id is the id that the client would offer.
func (j *jar) id() []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.byID != nil {
		return j.byID.ID
	}
	if j.session == nil {
		return nil
	}
	ticket, _, _ := j.session.ResumptionState()
	return ticket
}

// An outcome is what both sides saw of one connection.
type outcome struct {
	resumed   bool
	clientErr error
	serverErr error
	session   *Session // SessionOf, on the server
	state     tls.ConnectionState
}

// connect makes one connection, exchanges a byte and closes it cleanly.
func connect(t testing.TB, open opener, cl *client) outcome {
	t.Helper()
	o := dial(t, open, cl.config(), func(s handshaker) error { return nil })
	return o
}

// connectOK is connect for a handshake that must succeed.
func connectOK(t testing.TB, open opener, cl *client) outcome {
	t.Helper()
	o := connect(t, open, cl)
	if o.clientErr != nil || o.serverErr != nil {
		t.Fatalf("the handshake failed: client: %v; server: %v", o.clientErr, o.serverErr)
	}
	return o
}

func dial(t testing.TB, open opener, config *tls.Config, serve func(handshaker) error) outcome {
	t.Helper()
	near, far := socketPair(t)
	server := open(far)
	served := make(chan error, 1)
	var o outcome
	go func() {
		defer server.Close()
		served <- func() error {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			if err := server.HandshakeContext(ctx); err != nil {
				return err
			}
			o.session, _ = SessionOf(server)
			if _, err := server.Write([]byte{1}); err != nil {
				return err
			}
			if err := serve(server); err != nil {
				return err
			}
			_, err := io.Copy(io.Discard, server)
			return err
		}()
	}()
	near.SetDeadline(time.Now().Add(30 * time.Second))
	conn, done := clientConn(t, near, config, resumesByID(server))
	_, o.clientErr = io.ReadFull(conn, make([]byte, 1))
	o.state = conn.ConnectionState()
	o.resumed = o.state.DidResume
	done()
	conn.Close()
	near.Close()
	o.serverErr = <-served
	if errors.Is(o.serverErr, syscall.EPIPE) || errors.Is(o.serverErr, syscall.ECONNRESET) {
		o.serverErr = o.clientErr // the client went first
	}
	return o
}

// clientConn is the client's side: of package tls12 where the server resumes by
// session id, which crypto/tls does not offer. done is to be called when the
// handshake is over.
func clientConn(t testing.TB, near net.Conn, config *tls.Config, sessionIDs bool) (conn handshaker, done func()) {
	t.Helper()
	if !sessionIDs || config.MaxVersion != tls.VersionTLS12 {
		return tls.Client(near, config), func() {}
	}
	jar := config.ClientSessionCache.(*jar)
	config.ClientSessionCache = nil
	jar.mu.Lock()
	session := jar.byID
	jar.mu.Unlock()
	c := must(tls12.Client(near, config, session))(t)
	return c, func() { jar.keep(c.Session()) }
}

// socketPair returns the two ends of a connection within this process.
func socketPair(t testing.TB) (near, far net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fileConn(t, fds[0]), fileConn(t, fds[1])
}

func fileConn(t testing.TB, fd int) net.Conn {
	t.Helper()
	f := os.NewFile(uintptr(fd), "socketpair")
	defer f.Close()
	return must(net.FileConn(f))(t)
}

// forAll runs f through each door and version.
func forAll(t *testing.T, f func(t *testing.T, d door, version uint16)) {
	forEach(t, append(doors, viaIDs, viaServerIDs), f)
}

func forEach(t *testing.T, doors []door, f func(t *testing.T, d door, version uint16)) {
	for _, d := range doors {
		for _, v := range versions {
			t.Run(d.name+"/"+strings.ReplaceAll(tls.VersionName(v), " ", ""), func(t *testing.T) { f(t, d, v) })
		}
	}
}

// wantRefused checks that exactly one session was refused, for that reason.
func wantRefused(t testing.TB, c *Cache, want Refusal) {
	t.Helper()
	for r, n := range c.Stats().Refused {
		if r == want && n != 1 || r != want && n != 0 {
			t.Errorf("refused[%v] = %d; want one %v and no other", r, n, want)
		}
	}
}

// policyWith is the policy of a configuration under a Config of that Scope and
// TrustID.
func policyWith(config *tls.Config, scope, trustID string) policy {
	return policy{config: config, scope: scope, scopeID: scopeIDOf(scope), trustID: trustID}
}

// proposing is the proposal of s by a client of that name, under a policy.
func proposing(c *Cache, p policy, s *Session, serverName string) proposal {
	h := c.newHandshake(p)
	h.negotiated(serverName, "", s.version)
	return proposal{handshake: h, id: s.ID(), suite: s.suite}
}

// makes has a handshake make a session of that state, as an engine does that shows no
// Finished, and returns it.
func makes(c *Cache, p policy, serverName string, version uint16, state []byte) *Session {
	h := c.newHandshake(p)
	h.negotiated(serverName, "", version)
	return h.made(state, nil, false)
}

// handshakeOf returns what the cache knows of a connection of its own.
func handshakeOf(conn net.Conn) *handshake {
	switch below := conn.(interface{ NetConn() net.Conn }).NetConn().(type) {
	case *transport:
		return below.handshake
	case *watchedTransport:
		return below.handshake
	}
	return nil
}

// discard is a logger for tests that make many failures.
func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// tcpPair returns the two ends of a TCP connection.
func tcpPair(t testing.TB) (near, far net.Conn) {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	near = must(net.Dial("tcp", l.Addr().String()))(t)
	return near, must(l.Accept())(t)
}
