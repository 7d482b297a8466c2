package tls12

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testsecrets"
)

// mapSessions keeps sessions in a map.
type mapSessions struct {
	mu      sync.Mutex
	byID    map[string]*Session
	lookups int
	newIDs  int
	stored  int
	resumed int
	endings []Ending
}

func (m *mapSessions) Lookup(_ context.Context, _ *ClientHello, id []byte) *Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lookups++
	return m.byID[string(id)]
}

func (m *mapSessions) NewID(context.Context, *ClientHello) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.newIDs++
	id := make([]byte, 32)
	rand.Read(id)
	testsecrets.Record(id)
	return id
}

func (m *mapSessions) Completed(_ context.Context, _ *ClientHello, s *Session) {
	if s == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stored++
	m.put(s)
}

func (m *mapSessions) put(s *Session) {
	if m.byID == nil {
		m.byID = make(map[string]*Session)
	}
	testsecrets.Record(s.MasterSecret)
	m.byID[string(s.ID)] = s
}

func (m *mapSessions) Resumed(context.Context, *ClientHello, *Session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.resumed++
}

func (m *mapSessions) Ended(_ *Session, how Ending) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endings = append(m.endings, how)
}

// counts returns how often Lookup and NewID ran, and how many sessions were stored and
// resumed.
func (m *mapSessions) counts() [4]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return [4]int{m.lookups, m.newIDs, m.stored, m.resumed}
}

// expect waits for counts, because a client may end before the server has read its
// last message.
func (m *mapSessions) expect(t *testing.T, want [4]int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); m.counts() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("lookups, ids, stored and resumed are %v, want %v", m.counts(), want)
			return
		}
	}
}

// connect runs a handshake between both sides of this package, which must succeed.
func connect(t testing.TB, client, server *tls.Config, sessions Sessions, proposed *Session) (*Conn, *Conn) {
	t.Helper()
	clientConn, serverConn := tcpPair(t)
	c, s := newClient(t, clientConn, client, proposed), newServer(t, serverConn, server, sessions)
	if clientErr, serverErr := handshakes(c, s); clientErr != nil || serverErr != nil {
		t.Fatalf("client: %v; server: %v", clientErr, serverErr)
	}
	return c, s
}

// establish makes a session.
func establish(t testing.TB, client, server *tls.Config, sessions Sessions) *Session {
	t.Helper()
	c, s := connect(t, client, server, sessions, nil)
	made := c.Session()
	if made == nil {
		t.Fatal("the full handshake made no session")
	}
	exchange(t, c, s, []byte("full"))
	return made
}

// TestAbbreviated checks that both sides of a resumption see what the full handshake agreed
// on, for every suite, with a client certificate.
func TestAbbreviated(t *testing.T) {
	for _, id := range allowedSuites(&tls.Config{}) {
		t.Run(tls.CipherSuiteName(id), func(t *testing.T) {
			client, server := clientConfig(t), serverConfig(t)
			kind := "ecdsa-p256"
			if suiteByID(id).rsa {
				kind = "rsa-2048"
			}
			own := certificateOf(t, kind)
			own.certificate.OCSPStaple = []byte("staple")
			own.certificate.SignedCertificateTimestamps = [][]byte{[]byte("sct")}
			server.Certificates, server.CipherSuites = []tls.Certificate{own.certificate}, []uint16{id}
			server.NextProtos = []string{"b", "a"}
			server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, certificateOf(t, "ed25519").pool
			client.RootCAs, client.NextProtos = own.pool, []string{"a", "b"}
			client.Certificates = []tls.Certificate{certificateOf(t, "ed25519").certificate}
			sessions := &mapSessions{}
			made := establish(t, client, server, sessions)

			client.NextProtos = []string{"a"} // each handshake negotiates its own
			c, s := connect(t, client, server, sessions, made)
			checkAbbreviated(t, c, s, id)
			if c.Session() != made || s.Session() != sessions.byID[string(made.ID)] {
				t.Error("the resumed session is another")
			}
			exchange(t, c, s, []byte("abbreviated"))
			if got := sessions.counts(); got != [4]int{1, 1, 1, 1} {
				t.Errorf("lookups, ids, stored and resumed are %v, want one each", got)
			}
			if want := []Ending{CleanEnd, CleanEnd}; !slices.Equal(sessions.endings, want) {
				t.Errorf("the endings are %v, want %v", sessions.endings, want)
			}
		})
	}
}

func checkAbbreviated(t *testing.T, c, s *Conn, id uint16) {
	t.Helper()
	sameSecrets(t, c, s)
	for name, state := range map[string]tls.ConnectionState{"client": c.ConnectionState(), "server": s.ConnectionState()} {
		if !state.DidResume || !state.HandshakeComplete || state.Version != tls.VersionTLS12 || state.CipherSuite != id ||
			state.CurveID != tls.X25519 || state.NegotiatedProtocol != "a" || state.ServerName != "localhost" ||
			len(state.PeerCertificates) != 1 || len(state.VerifiedChains) != 1 {
			t.Errorf("%s: the state is %+v", name, state)
		}
	}
	state := c.ConnectionState()
	if string(state.OCSPResponse) != "staple" || len(state.SignedCertificateTimestamps) != 1 {
		t.Errorf("the client has the staple %q and %d timestamps", state.OCSPResponse, len(state.SignedCertificateTimestamps))
	}
	if len(s.ConnectionState().OCSPResponse) != 0 {
		t.Error("the server has a staple of the client")
	}
}

// TestStoredBeforeFinished checks that the session is stored before the server's Finished
// is sent, so that the client may resume at once.
func TestStoredBeforeFinished(t *testing.T) {
	sessions := &mapSessions{}
	clientConn, serverConn := tcpPair(t)
	look := func(flight int, records [][]byte) [][]byte {
		if flight == 1 && sessions.counts()[2] != 1 {
			t.Error("Finished is sent before the session is stored")
		}
		return records
	}
	c := newClient(t, clientConn, clientConfig(t), nil)
	s := newServer(t, &mutatedConn{Conn: serverConn, mutate: look}, serverConfig(t), sessions)
	if clientErr, serverErr := handshakes(c, s); clientErr != nil || serverErr != nil {
		t.Fatal(clientErr, serverErr)
	}
}

// TestSessionFields compares what the two sides keep of a session.
func TestSessionFields(t *testing.T) {
	client, server, sessions := clientConfig(t), serverConfig(t), &mapSessions{}
	made := establish(t, client, server, sessions)
	kept, leaf := sessions.byID[string(made.ID)], server.Certificates[0].Leaf
	if kept == nil || !slices.Equal(kept.MasterSecret, made.MasterSecret) || len(made.ID) != 32 ||
		kept.CipherSuite != made.CipherSuite || !kept.ExtendedMasterSecret || !made.ExtendedMasterSecret ||
		kept.ServerName != "localhost" || made.ServerName != "localhost" || kept.CurveID != tls.X25519 ||
		kept.CreatedAt.IsZero() || !kept.ServerNotAfter.Equal(leaf.NotAfter) || !made.ServerNotAfter.Equal(leaf.NotAfter) || len(kept.PeerCertificates) != 0 || len(made.PeerCertificates) != 1 {
		t.Errorf("the server keeps %v, the client %v", kept, made)
	}
}

// oneSession answers every Lookup with the same session.
type oneSession struct {
	mapSessions
	session *Session
}

func (o *oneSession) Lookup(ctx context.Context, hello *ClientHello, id []byte) *Session {
	o.mapSessions.Lookup(ctx, hello, id)
	return o.session
}

// change returns a copy of s, changed by f.
func change(s *Session, f func(*Session)) *Session {
	other := *s
	f(&other)
	return &other
}

// TestNotResumable checks that a session which the protocol forbids to resume leads to a
// full handshake and nothing worse, whatever Lookup returns.
func TestNotResumable(t *testing.T) {
	made := establish(t, clientConfig(t), serverConfig(t), &mapSessions{})
	for name, f := range map[string]func(*Session){
		"without the extended master secret":    func(s *Session) { s.ExtendedMasterSecret = false },
		"CVE-2026-34873: with a secret of zero": func(s *Session) { s.MasterSecret = make([]byte, 48) },
		"without a secret":                      func(s *Session) { s.MasterSecret = nil },
		"with a short secret":                   func(s *Session) { s.MasterSecret = s.MasterSecret[:47] },
		"of a suite of TLS 1.3":                 func(s *Session) { s.CipherSuite = tls.TLS_AES_128_GCM_SHA256 },
		"of a suite with CBC":                   func(s *Session) { s.CipherSuite = tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA },
		"of no suite":                           func(s *Session) { s.CipherSuite = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			sessions := &oneSession{session: change(made, f)}
			c, s := connect(t, clientConfig(t), serverConfig(t), sessions, made)
			if c.ConnectionState().DidResume || s.ConnectionState().DidResume {
				t.Error("it resumed")
			}
			exchange(t, c, s, []byte("text"))
			if got := sessions.counts(); got != [4]int{1, 1, 1, 0} {
				t.Errorf("lookups, ids, stored and resumed are %v", got)
			}
			if string(c.Session().ID) == string(made.ID) {
				t.Error("the new session has the old id")
			}
		})
	}
}

// TestSuiteOfSession checks that a session resumes only under its own suite (CVE-2010-4180,
// CVE-2008-7270), and that proposing it does not change it.
func TestSuiteOfSession(t *testing.T) {
	client, server := clientConfig(t), serverConfig(t)
	client.CipherSuites = []uint16{ecdsaAES256.id}
	sessions := &mapSessions{}
	made := establish(t, client, server, sessions)
	before := *made

	client.CipherSuites = []uint16{ecdsaAES128.id}
	puppet := change(made, func(s *Session) { s.CipherSuite = ecdsaAES128.id }) // so that it is proposed
	c, s := connect(t, client, server, sessions, puppet)
	if c.ConnectionState().DidResume || s.ConnectionState().CipherSuite != ecdsaAES128.id {
		t.Error("a client that does not offer the session's suite resumed")
	}
	if kept := sessions.byID[string(made.ID)]; kept.CipherSuite != ecdsaAES256.id || !reflect.DeepEqual(*made, before) {
		t.Error("the session was changed")
	}

	client.CipherSuites, server.CipherSuites = nil, []uint16{ecdsaAES128.id}
	c, _ = connect(t, client, server, sessions, made)
	if c.ConnectionState().DidResume {
		t.Error("a session resumed whose suite the server no longer enables")
	}
}

// TestImmutableSession resumes one session on many connections at once. The race detector
// checks that they only read it (CVE-2010-3864, CVE-2014-3509).
func TestImmutableSession(t *testing.T) {
	client, server, sessions := clientConfig(t), serverConfig(t), &mapSessions{}
	made := establish(t, client, server, sessions)
	before := *made
	var all sync.WaitGroup
	for range 16 {
		clientConn, serverConn := tcpPair(t)
		all.Go(func() {
			c, _ := Client(clientConn, client, made)
			s, _ := Server(serverConn, server, sessions)
			if clientErr, serverErr := handshakes(c, s); clientErr != nil || serverErr != nil {
				t.Errorf("client: %v; server: %v", clientErr, serverErr)
			} else if !c.ConnectionState().DidResume {
				t.Error("it did not resume")
			}
		})
	}
	all.Wait()
	if !reflect.DeepEqual(*made, before) {
		t.Error("the session was changed")
	}
}

// TestTicketsDisabled checks that Config.SessionTicketsDisabled disables resumption by
// session id too (CVE-2014-7189).
func TestTicketsDisabled(t *testing.T) {
	made := establish(t, clientConfig(t), serverConfig(t), &mapSessions{})
	server := serverConfig(t)
	server.SessionTicketsDisabled = true
	sessions := &oneSession{session: made}
	c, _ := connect(t, clientConfig(t), server, sessions, made)
	if c.ConnectionState().DidResume || c.Session() != nil {
		t.Error("it resumed, or made a session")
	}
	if got := sessions.counts(); got != [4]int{} {
		t.Errorf("lookups, ids, stored and resumed are %v, want none", got)
	}
}

// withoutExtendedMaster removes the extension from a ClientHello.
func withoutExtendedMaster(_ int, records [][]byte) [][]byte {
	return editClientHello(records, func(m *clientHelloMsg) {
		m.extensions.list = slices.DeleteFunc(m.extensions.list, func(e extension) bool { return e.kind == extExtendedMasterSecret })
	})
}

// TestExtendedMasterDropped checks RFC 7627, section 5.3: a session with the extended master
// secret, proposed without it, ends the handshake.
func TestExtendedMasterDropped(t *testing.T) {
	sessions := &mapSessions{}
	made := establish(t, clientConfig(t), serverConfig(t), sessions)
	clientConn, serverConn := tcpPair(t)
	c := newClient(t, &mutatedConn{Conn: clientConn, mutate: withoutExtendedMaster}, clientConfig(t), made)
	s := newServer(t, serverConn, serverConfig(t), sessions)
	clientErr, serverErr := handshakes(c, s)
	wantAlert(t, serverErr, "local error", alertHandshakeFailure)
	wantAlert(t, clientErr, "remote error", alertHandshakeFailure)
	if !errors.Is(serverErr, ErrExtendedMasterDropped) {
		t.Errorf("the server's error is %v", serverErr)
	}
	if got := sessions.counts(); got != [4]int{1, 1, 1, 0} {
		t.Errorf("lookups, ids, stored and resumed are %v", got)
	}
	if len(sessions.endings) != 1 { // of the first connection
		t.Errorf("the endings are %v: an unproved client has ended a session", sessions.endings)
	}
}

// TestNoExtendedMaster checks that a client without the extended master secret is served,
// and that no session is made.
func TestNoExtendedMaster(t *testing.T) {
	sessions := &mapSessions{}
	clientConn, serverConn := tcpPair(t)
	c := &hashlessClient{newClient(t, clientConn, clientConfig(t), nil)}
	s := newServer(t, serverConn, serverConfig(t), sessions)
	done := make(chan error, 1)
	go func() { done <- s.Handshake() }()
	if err := c.handshake(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := sessions.counts(); got != [4]int{} || s.Session() != nil {
		t.Errorf("lookups, ids, stored and resumed are %v, want none", got)
	}
	if _, err := s.ExportKeyingMaterial("label", nil, 32); !errors.Is(err, errNoExtendedMaster) {
		t.Errorf("exporting: %v", err)
	}
	if len(s.ConnectionState().TLSUnique) != 12 {
		t.Error("there is no tls-unique")
	}
}

// hashlessClient is a client that does not offer the extended master secret.
type hashlessClient struct{ *Conn }

func (c *hashlessClient) handshake(ctx context.Context) error {
	start := &clientStart{&clientHandshake{c: c.Conn, ctx: ctx}}
	c.out.hold = true
	c.out.conn = &mutatedConn{Conn: c.conn, mutate: func(flight int, records [][]byte) [][]byte {
		if flight == 0 {
			records = withoutExtendedMaster(flight, records)
			start.raw = records[0][recordHeaderLen:]
		}
		return records
	}}
	sent, err := start.sendHello()
	if err != nil {
		return err
	}
	hello, err := sent.readServerHello()
	if err != nil {
		return err
	}
	return hello.full()
}

// TestIDs checks which ids a ServerHello may carry.
func TestIDs(t *testing.T) {
	for name, test := range map[string]struct {
		id   []byte
		want int
	}{
		"none":     {nil, 0},
		"one byte": {[]byte{1}, 1},
		"32 bytes": {make([]byte, 32), 32},
		"too long": {make([]byte, 33), 0},
	} {
		t.Run(name, func(t *testing.T) {
			sessions := &fixedID{id: test.id}
			c, s := connect(t, clientConfig(t), serverConfig(t), sessions, nil)
			if (c.Session() != nil) != (test.want > 0) || (s.Session() != nil) != (test.want > 0) {
				t.Errorf("the client has %v, the server %v", c.Session(), s.Session())
			}
			if test.want > 0 && len(c.Session().ID) != test.want {
				t.Errorf("the id has %d bytes", len(c.Session().ID))
			}
		})
	}
	t.Run("the client's own", func(t *testing.T) {
		made := establish(t, clientConfig(t), serverConfig(t), &mapSessions{})
		c, _ := connect(t, clientConfig(t), serverConfig(t), &fixedID{id: made.ID}, made)
		if c.ConnectionState().DidResume || c.Session() != nil {
			t.Error("a new session has the id that the client proposed")
		}
	})
}

type fixedID struct {
	mapSessions
	id []byte
}

func (f *fixedID) NewID(context.Context, *ClientHello) []byte { return f.id }

// TestCallbacks checks which of the configuration's callbacks run when.
func TestCallbacks(t *testing.T) {
	client, server, sessions := clientConfig(t), serverConfig(t), &mapSessions{}
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, certificateOf(t, "rsa-2048").pool
	client.Certificates = []tls.Certificate{certificateOf(t, "rsa-2048").certificate}
	var peer, connection int
	server.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
		if peer++; len(raw) != 1 || len(chains) != 1 {
			t.Errorf("VerifyPeerCertificate got %d certificates and %d chains", len(raw), len(chains))
		}
		return nil
	}
	server.VerifyConnection = func(s tls.ConnectionState) error {
		if connection++; len(s.PeerCertificates) != 1 || len(s.VerifiedChains) != 1 || s.DidResume != (connection > 1) || s.HandshakeComplete {
			t.Errorf("VerifyConnection got %+v", s)
		}
		if _, err := s.ExportKeyingMaterial("label", nil, 1); err == nil {
			t.Error("the state's ExportKeyingMaterial works")
		}
		return nil
	}
	made := establish(t, client, server, sessions)
	connect(t, client, server, sessions, made)
	if peer != 1 || connection != 2 {
		t.Errorf("VerifyPeerCertificate ran %d times, VerifyConnection %d times", peer, connection)
	}

	server.VerifyConnection = func(tls.ConnectionState) error { return net.ErrClosed } // any error
	clientConn, serverConn := tcpPair(t)
	clientErr, serverErr := handshakes(newClient(t, clientConn, client, made), newServer(t, serverConn, server, sessions))
	wantAlert(t, serverErr, "local error", alertBadCertificate)
	wantAlert(t, clientErr, "remote error", alertBadCertificate)
	if !errors.Is(serverErr, net.ErrClosed) {
		t.Errorf("the server's error is %v", serverErr)
	}
	if got := sessions.counts(); got[3] != 1 {
		t.Errorf("resumed %d times", got[3])
	}
}
