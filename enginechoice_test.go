package halfshake

import (
	"crypto"
	"crypto/fips140"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/sessionstate"
	"github.com/halfshake/halfshake/tls12"
)

// Which engine serves whom: package tls12 where TLS 1.2 would be spoken, without
// HTTP/2, by a client that SessionIDs names and that the engine can serve as well;
// whoever reads the ClientHello.
func TestEngineChoice(t *testing.T) {
	t.Run("read by tls12", func(t *testing.T) { testEngineChoice(t, nil) })
	t.Run("read by crypto/tls", func(t *testing.T) {
		testEngineChoice(t, func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil })
	})
}

func testEngineChoice(t *testing.T, getConfigForClient func(*tls.ClientHelloInfo) (*tls.Config, error)) {
	const ticketless, byTicket = false, true
	aes := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	cbc := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
	for _, step := range []struct {
		ids     SessionIDs
		tickets bool
		change  func(server, client *tls.Config)
		want    bool // package tls12
	}{
		{SessionIDsAlways, byTicket, func(_, _ *tls.Config) {}, true},
		{SessionIDsAlways, ticketless, func(_, _ *tls.Config) {}, true},
		{SessionIDsTicketless, ticketless, func(_, _ *tls.Config) {}, true},
		{SessionIDsTicketless, byTicket, func(_, _ *tls.Config) {}, false},
		{SessionIDsOff, ticketless, func(_, _ *tls.Config) {}, false},
		{SessionIDsAlways, ticketless, func(_, c *tls.Config) { c.MaxVersion = tls.VersionTLS13 }, false},
		{SessionIDsAlways, ticketless, func(s, c *tls.Config) { c.MaxVersion, s.MaxVersion = tls.VersionTLS13, tls.VersionTLS12 }, true},
		{SessionIDsAlways, ticketless, func(s, _ *tls.Config) { s.NextProtos = []string{"h2"} }, true},
		{SessionIDsAlways, ticketless, func(s, c *tls.Config) { s.NextProtos, c.NextProtos = []string{"h2"}, []string{"http/1.1", "h2"} }, false},
		{SessionIDsAlways, ticketless, func(s, c *tls.Config) {
			s.NextProtos, c.NextProtos = []string{"http/1.1", "h2"}, []string{"h2", "http/1.1"}
		}, true},
		{SessionIDsAlways, ticketless, func(_, c *tls.Config) { c.CipherSuites = append(aes, cbc...) }, true},
		{SessionIDsAlways, ticketless, func(_, c *tls.Config) { c.CipherSuites = cbc }, false},
		{SessionIDsAlways, ticketless, func(s, _ *tls.Config) { s.CurvePreferences = []tls.CurveID{tls.CurveP521} }, true},
		{SessionIDsAlways, ticketless, func(_, c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }, false}, // the key is on P-256
		{SessionIDsAlways, ticketless, func(s, _ *tls.Config) {
			s.SessionTicketsDisabled = false
			s.Renegotiation = tls.RenegotiateOnceAsClient
		}, false},
	} {
		server, client := serverConfig(), newClient(tls.VersionTLS12).config()
		server.GetConfigForClient = getConfigForClient
		client.MaxVersion, client.ClientSessionCache = tls.VersionTLS12, nil
		if !step.tickets {
			client.SessionTicketsDisabled = true
		} else {
			client.ClientSessionCache = &jar{}
		}
		step.change(server, client)
		c := newCache(t, Config{SessionIDs: step.ids})
		l := idListener(t, c, server)
		got := make(chan net.Conn, 1)
		go func() {
			conn, err := l.Accept()
			if err == nil {
				err = conn.(handshaker).HandshakeContext(t.Context())
			}
			if err != nil {
				t.Errorf("the server: %v", err)
			}
			got <- conn
		}()
		near := must(net.Dial("tcp", l.Addr().String()))(t)
		if err := tls.Client(near, client).Handshake(); err != nil {
			t.Errorf("the client: %v", err)
		}
		conn := <-got
		if _, is12 := conn.(*tls12.Conn); is12 != step.want {
			t.Errorf("%+v: %T", step, conn)
		}
		if n := c.Stats().Accept; n != 1 {
			t.Errorf("accept counted %d", n)
		}
		near.Close()
		conn.Close()
	}
}

// The application's GetConfigForClient is called once for a connection, whichever
// engine serves it, with what crypto/tls makes of the ClientHello.
func TestGetConfigForClientIsCalledOnce(t *testing.T) {
	for _, ids := range []SessionIDs{SessionIDsOff, SessionIDsTicketless, SessionIDsAlways} {
		for _, version := range versions {
			var hellos []*tls.ClientHelloInfo
			var alive error
			base := serverConfig()
			base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				hellos, alive = append(hellos, hello), hello.Context().Err()
				return serverConfig(), hello.SupportsCertificate(&serverCert)
			}
			c := newCache(t, Config{SessionIDs: ids})
			var done atomic.Int64
			l := idListener(t, c, base)
			go accepting(l, &done)
			conn := must(tls.Dial("tcp", l.Addr().String(), newClient(version).config()))(t)
			if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			conn.Close()
			if len(hellos) != 1 || hellos[0].ServerName != "a.example" || hellos[0].Conn == nil || alive != nil ||
				hellos[0].Conn.RemoteAddr().String() != conn.LocalAddr().String() || !slices.Contains(hellos[0].SupportedVersions, version) {
				t.Errorf("%d calls: %+v", len(hellos), hellos)
			}
		}
	}
}

// TestTicketClientIsNotReadTwice checks that a client whom SessionIDs cannot select is
// accepted before GetConfigForClient is called, as without SessionIDs.
func TestTicketClientIsNotReadTwice(t *testing.T) {
	for _, ids := range []SessionIDs{SessionIDsTicketless, SessionIDsAlways} {
		asked := make(chan struct{})
		base := serverConfig()
		base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { close(asked); return nil, nil }
		l := idListener(t, newCache(t, Config{SessionIDs: ids}), base)
		near := must(net.Dial("tcp", l.Addr().String()))(t)
		defer near.Close()
		go tls.Client(near, newClient(tls.VersionTLS12).config()).Handshake()
		server := must(l.Accept())(t)
		defer server.Close()
		early := false
		select {
		case <-asked:
			early = true
		default:
		}
		if _, ok := server.(*tls12.Conn); ok != early || early != (ids == SessionIDsAlways) {
			t.Errorf("SessionIDs %d: a %T, asked before Accept returned: %v", ids, server, early)
		}
		if err := server.(handshaker).HandshakeContext(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// crypto/tls serves a client whose ClientHello is too large to choose by. The
// application is asked for its configuration all the same, once.
func TestLargeHelloGoesToCryptoTLS(t *testing.T) {
	asked := 0
	base := serverConfig()
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { asked++; return nil, nil }
	l := idListener(t, newCache(t, Config{SessionIDs: SessionIDsAlways}), base)
	client := newClient(tls.VersionTLS12).config()
	for range 100 {
		client.NextProtos = append(client.NextProtos, strings.Repeat("x", 200))
	}
	near := must(net.Dial("tcp", l.Addr().String()))(t)
	defer near.Close()
	go tls.Client(near, client).Handshake()
	server := must(l.Accept())(t)
	defer server.Close()
	if err := server.(handshaker).HandshakeContext(t.Context()); err != nil || asked != 1 {
		t.Errorf("asked %d times: %v", asked, err)
	}
	if _, ok := server.(*tls.Conn); !ok {
		t.Errorf("served by %T", server)
	}
}

// A GetConfigForClient that panics while the listener chooses the engine ends its
// connection and no more.
func TestGetConfigForClientPanics(t *testing.T) {
	for _, ids := range []SessionIDs{SessionIDsTicketless, SessionIDsAlways} {
		for _, version := range versions {
			n := 0
			base := serverConfig()
			base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
				if n++; n == 1 {
					panic("no configuration")
				}
				return nil, nil
			}
			c := newCache(t, Config{SessionIDs: ids})
			var done atomic.Int64
			l := idListener(t, c, base)
			go accepting(l, &done)
			client := newClient(version).config()
			client.SessionTicketsDisabled = true
			for _, want := range []bool{false, true} {
				conn, err := tls.Dial("tcp", l.Addr().String(), client)
				if (err == nil) != want {
					t.Errorf("served: %v; %v", err == nil, err)
				}
				if err == nil {
					conn.Close()
				}
			}
		}
	}
}

// What is not a ClientHello gets crypto/tls's answer, and net/http's.
func TestNotAHelloGoesToCryptoTLS(t *testing.T) {
	c := newCache(t, Config{SessionIDs: SessionIDsAlways})
	l := idListener(t, c, serverConfig())
	conn := must(net.Dial("tcp", l.Addr().String()))(t)
	defer conn.Close()
	conn.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	server := must(l.Accept())(t)
	defer server.Close()
	err := server.(*tls.Conn).Handshake()
	if header, ok := errors.AsType[tls.RecordHeaderError](err); !ok || string(header.RecordHeader[:]) != "GET /" || header.Conn == nil {
		t.Errorf("%v", err)
	}
}

// How a connection of package tls12 ends decides what becomes of its session, as
// it does for a [Conn].
func TestSessionIDEnds(t *testing.T) {
	ends := []struct {
		name string
		end  func(near net.Conn, client, server *tls12.Conn)
		want Cause
	}{
		{"close_notify from the client", func(_ net.Conn, client, server *tls12.Conn) {
			client.Close()
			io.Copy(io.Discard, server)
			server.Close()
		}, 0},
		{"close_notify from the server", func(_ net.Conn, _, server *tls12.Conn) { server.Close() }, 0},
		{"the client's transport ends", func(near net.Conn, _, server *tls12.Conn) { near.Close(); io.Copy(io.Discard, server); server.Close() }, CauseUncleanClose},
		{"a fatal alert", func(near net.Conn, _, server *tls12.Conn) {
			near.Write([]byte("\x17\x03\x03\x00\x20" + strings.Repeat("x", 32)))
			server.Read(make([]byte, 1))
			server.Close()
		}, CauseAlert},
	}
	for _, e := range ends {
		for _, policy := range []UncleanClosePolicy{UncleanCloseRemove, UncleanCloseKeep} {
			c := newCache(t, Config{SessionIDs: SessionIDsAlways, UncleanClose: policy})
			open := viaIDs.open(t, c, serverConfig())
			near, far := socketPair(t)
			server := open(far).(*pendingConn)
			done := make(chan error, 1)
			go func() { done <- server.HandshakeContext(t.Context()) }()
			conn, _ := clientConn(t, near, newClient(tls.VersionTLS12).config(), true)
			if err := conn.HandshakeContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			s, ok := SessionOf(server)
			if !ok || c.Stats().Number != 1 {
				t.Fatalf("no session; %+v", c.Stats())
			}
			got := recordRemovals(c)
			e.end(near, conn.(*tls12.Conn), server.accepted.(*tls12.Conn))
			near.Close()
			var want []removal
			if e.want != 0 && !(e.want == CauseUncleanClose && policy == UncleanCloseKeep) {
				want = []removal{{s.Ref(), e.want}}
			}
			if !reflect.DeepEqual(*got, want) {
				t.Errorf("%s, policy %d: removed %v, want %v", e.name, policy, *got, want)
			}
			c.SetRemoveCallback(nil)
		}
	}
}

// Each engine resumes what the other has made: the door and the form are one.
func TestEnginesShareSessions(t *testing.T) {
	config := verifying()
	c := newCache(t, Config{Scope: "test"})
	byTicket := viaListener.open(t, c, config)
	ticket := newClient(tls.VersionTLS12).withCert(clientCert)
	made := madeThrough(t, c, byTicket, ticket)
	st := must(sessionstate.Parse(made.state))(t)

	byID := viaIDs.open(t, c, config)
	cl := newClient(tls.VersionTLS12).withCert(clientCert)
	cl.jar.byID = &tls12.Session{ID: made.ID(), MasterSecret: st.Secret, CipherSuite: st.CipherSuite, ExtendedMasterSecret: true,
		CreatedAt: made.Created(), ServerName: "a.example", CurveID: st.CurveID,
		PeerCertificates: []*x509.Certificate{serverCert.Leaf}, VerifiedChains: nil}
	if o := connectOK(t, byID, cl); !o.resumed || o.session.serial != made.serial || len(o.session.PeerCertificates()) != 2 {
		t.Errorf("by id, what a ticket's handshake made: %+v", o.resumed)
	}
}

// A key of the application's that panics ends its connection, not the process.
func TestKeyPanics(t *testing.T) {
	config := serverConfig()
	config.Certificates = []tls.Certificate{{Certificate: serverCert.Certificate, PrivateKey: panickingKey{}}}
	c := newCache(t, Config{SessionIDs: SessionIDsAlways})
	l := idListener(t, c, config)
	conn := must(net.Dial("tcp", l.Addr().String()))(t)
	defer conn.Close()
	conn.Write(helloWithTicket(nil))
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("the connection was not closed: %v", err)
	}
	if n := c.Stats().Refused[RefusedCallback]; n != 1 {
		t.Errorf("%d callback failures", n)
	}
}

type panickingKey struct{ crypto.Signer }

func (panickingKey) Public() crypto.PublicKey { panic("the token was pulled out") }

// In FIPS 140-3 mode crypto/tls serves everybody: its rules for TLS are there.
func TestFIPSModeStaysWithCryptoTLS(t *testing.T) {
	if fips140.Enabled() {
		c := newCache(t, Config{SessionIDs: SessionIDsAlways})
		l := idListener(t, c, serverConfig())
		go func() {
			conn, err := tls.Dial("tcp", l.Addr().String(), newClient(tls.VersionTLS12).config())
			if err == nil {
				conn.Close()
			}
		}()
		conn := must(l.Accept())(t)
		defer conn.Close()
		if _, ok := conn.(*tls.Conn); !ok {
			t.Errorf("served by %T", conn)
		}
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestFIPSModeStaysWithCryptoTLS$")
	child.Env = append(os.Environ(), "GODEBUG=fips140=on")
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
