package halfshake

import (
	"bytes"
	"context"
	"crypto"
	"crypto/fips140"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/halfshake/halfshake/internal/sessionstate"
	"github.com/halfshake/halfshake/internal/testleaks"
	"github.com/halfshake/halfshake/internal/testsecrets"
	"github.com/halfshake/halfshake/tls12"
)

// idListener is a listener with session ids on loopback.
func idListener(t testing.TB, c *Cache, config *tls.Config) net.Listener {
	t.Helper()
	l := must(c.NewListener(must(net.Listen("tcp", "127.0.0.1:0"))(t), config))(t)
	t.Cleanup(func() { l.Close() })
	return l
}

// accepting accepts and handshakes until the listener is closed; done counts the
// connections that completed.
func accepting(l net.Listener, done *atomic.Int64) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		go func() {
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			if conn.(handshaker).HandshakeContext(context.Background()) == nil {
				done.Add(1)
				conn.Write([]byte{1})
				io.Copy(io.Discard, conn)
			}
		}()
	}
}

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

// A GetConfigForClient that fails, or panics, ends its connection and no more.
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
			for _, want := range []bool{false, true} {
				conn, err := tls.Dial("tcp", l.Addr().String(), newClient(version).config())
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

// 10,000 clients that stall, drip, send too much, fragments or garbage: memory
// stays bounded, nothing is left, and a good client that comes in the middle is
// served at once.
func TestHostileHellos(t *testing.T) {
	c := newCache(t, Config{SessionIDs: SessionIDsAlways, MaxPending: 64})
	var done atomic.Int64
	l := idListener(t, c, serverConfig())
	go accepting(l, &done)
	hello := helloWithTicket(nil)
	huge := append([]byte{22, 3, 1, 0x40, 0, 1, 1, 0, 0}, make([]byte, 1<<14-4)...) // of a message of 64 KiB
	kinds := [][]byte{
		nil, hello[:1], hello[:5], hello[:20], []byte("GET / HTTP/1.1\r\n\r\n"), noise(600), huge[:100], huge, bytes.Repeat(huge, 5),
		{22, 3, 1, 0, 0}, {22, 3, 1, 0xff, 0xff}, {22, 3, 1, 0, 1, 2},
		bytes.Repeat([]byte{22, 3, 1, 0, 1, 1}, 200), // a message in pieces of one byte
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var open []net.Conn
	for i := range 10_000 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(kinds[i%len(kinds)])
		if open = append(open, conn); len(open) == 100 {
			open[0].Close()
			open = open[1:]
		}
		if i%2500 == 1250 {
			started := time.Now()
			good := must(tls.Dial("tcp", l.Addr().String(), newClient(tls.VersionTLS12).config()))(t)
			good.SetDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.ReadFull(good, make([]byte, 1)); err != nil {
				t.Errorf("the good client: %v", err)
			}
			good.Close()
			t.Logf("after %d hostile clients, a good one is served in %v", i, time.Since(started).Round(time.Millisecond))
		}
	}
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapInuse+after.StackInuse) - int64(before.HeapInuse+before.StackInuse)
	t.Logf("10,000 hostile clients: %d KiB of heap and stacks more", grown>>10)
	if grown > 64<<20 {
		t.Errorf("memory grew by %d bytes", grown)
	}
	for _, conn := range open {
		conn.Close()
	}
	if done.Load() != 4 || c.Stats().Number > 4 {
		t.Errorf("%d handshakes; %+v", done.Load(), c.Stats())
	}
	l.Close()
}

// A client that says nothing has five seconds; and as many as there are places may
// do so at one time, after which the oldest goes.
func TestSilentClients(t *testing.T) {
	c := newCache(t, Config{SessionIDs: SessionIDsAlways, MaxPending: 3})
	var done atomic.Int64
	l := idListener(t, c, serverConfig())
	go accepting(l, &done)
	var silent []net.Conn
	for range 5 {
		silent = append(silent, must(net.Dial("tcp", l.Addr().String()))(t))
		time.Sleep(50 * time.Millisecond)
	}
	closed := func(i int, patience time.Duration) bool {
		silent[i].SetReadDeadline(time.Now().Add(patience))
		_, err := silent[i].Read(make([]byte, 1))
		return !isTimeout(err)
	}
	for i, want := range []bool{true, true, false, false, false} {
		if closed(i, 200*time.Millisecond) != want {
			t.Errorf("client %d: closed is not %v", i, want)
		}
	}
	for i := 2; i < 5; i++ {
		if !closed(i, helloTimeout+5*time.Second) {
			t.Errorf("client %d may stay silent for ever", i)
		}
	}
}

// A client that sends a ClientHello and falls silent is closed too, under net/http
// as well, which asks a connection that is not a *tls.Conn for its state before it
// sets any deadline.
func TestSilentAfterHello(t *testing.T) {
	c := newCache(t, Config{SessionIDs: SessionIDsAlways})
	l := idListener(t, c, serverConfig())
	server := &http.Server{ErrorLog: log.New(testsecrets.LogWriter(), "", 0)}
	go server.Serve(l)
	defer server.Close()
	conn := must(net.Dial("tcp", l.Addr().String()))(t)
	defer conn.Close()
	conn.Write(helloWithTicket(nil))
	conn.SetReadDeadline(time.Now().Add(handshakeTimeout12 + 10*time.Second))
	if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
		t.Error("the connection is still open")
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
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

// Close ends the listener's goroutines and the connections that nobody accepted.
func TestCloseHelloListener(t *testing.T) {
	c := newCache(t, Config{SessionIDs: SessionIDsAlways})
	l := idListener(t, c, serverConfig())
	silent, whole := must(net.Dial("tcp", l.Addr().String()))(t), must(net.Dial("tcp", l.Addr().String()))(t)
	whole.Write(helloWithTicket(nil))
	accepting := make(chan error, 1)
	time.Sleep(100 * time.Millisecond)
	must(l.Accept())(t).Close() // the whole one
	go func() { _, err := l.Accept(); accepting <- err }()
	started := time.Now()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if waited := time.Since(started); waited >= helloTimeout {
		t.Errorf("Close waited %v for a client that says nothing", waited)
	}
	if left := testleaks.Left(0); strings.Contains(left, "helloListener") {
		t.Errorf("goroutines outlive Close:\n%s", left)
	}
	if err := <-accepting; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	for _, conn := range []net.Conn{silent, whole} {
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadAll(conn); isTimeout(err) {
			t.Error("a connection is open after Close")
		}
		conn.Close()
	}
	l.Close()
}

// The time that a ClientHello has is over when it is there: the connection's
// deadlines are the program's.
func TestDeadlineIsLifted(t *testing.T) {
	inner := newQueue(1)
	l := must(newCache(t, Config{SessionIDs: SessionIDsAlways}).NewListener(inner, serverConfig()))(t)
	defer l.Close()
	near, far := socketPair(t)
	defer near.Close()
	noted := &deadlineConn{Conn: far}
	near.Write(helloWithTicket(nil))
	inner.conns <- noted
	must(l.Accept())(t).Close()
	if len(noted.set) != 2 || noted.set[0].IsZero() || !noted.set[1].IsZero() {
		t.Errorf("read deadlines: %v", noted.set)
	}
}

type deadlineConn struct {
	net.Conn
	set []time.Time
}

func (d *deadlineConn) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return d.Conn.SetReadDeadline(t)
}

// An Accept that fails below fails above, and the next one goes on.
func TestAcceptErrors(t *testing.T) {
	inner := &failing{queue: newQueue(1)}
	inner.errs.Store(2)
	c := newCache(t, Config{SessionIDs: SessionIDsAlways})
	l := must(c.NewListener(inner, serverConfig()))(t)
	defer l.Close()
	for range 2 {
		if _, err := l.Accept(); !errors.Is(err, errAccept) {
			t.Errorf("Accept: %v", err)
		}
	}
	near, far := socketPair(t)
	defer near.Close()
	near.Write(helloWithTicket(nil))
	inner.conns <- far
	must(l.Accept())(t).Close()
}

var errAccept = errors.New("too many open files")

type failing struct {
	*queue
	errs atomic.Int64
}

func (f *failing) Accept() (net.Conn, error) {
	if f.errs.Add(-1) >= 0 {
		return nil, errAccept
	}
	return f.queue.Accept()
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

// A client that comes when every place is taken by silent ones is served at once:
// it is they who go.
func TestServedWhenPlacesAreTaken(t *testing.T) {
	for _, places := range []int{1, 2, 8} {
		for range 10 {
			inner := must(net.Listen("tcp", "127.0.0.1:0"))(t)
			var conns []net.Conn
			for range places + 1 {
				conns = append(conns, must(net.Dial("tcp", inner.Addr().String()))(t))
			}
			good := conns[places]
			l := must(newCache(t, Config{SessionIDs: SessionIDsAlways, MaxPending: places}).NewListener(inner, serverConfig()))(t)
			var done atomic.Int64
			go accepting(l, &done)
			good.SetDeadline(time.Now().Add(helloTimeout / 2)) // well before the silent ones' time is over
			if err := tls.Client(good, newClient(tls.VersionTLS12).config()).Handshake(); err != nil {
				t.Errorf("%d places: %v", places, err)
			}
			for _, conn := range conns {
				conn.Close()
			}
			l.Close()
		}
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

// What readHello takes, and how far it reads: to the end of the record in which the
// message ends, and not much of what has come behind it.
func TestReadHello(t *testing.T) {
	one := helloWithTicket(nil)
	split := append([]byte{22, 3, 1, 0, 3}, one[5:8]...)
	split = append(split, 22, 3, 1, byte((len(one)-8)>>8), byte(len(one)-8))
	split = append(split, one[8:]...)
	record := append([]byte{22, 3, 1, 0x40, 0}, make([]byte, 1<<14)...)
	large := append([]byte{22, 3, 1, 0x40, 0, 1, 1, 0, 0}, make([]byte, 1<<14-4)...) // of 64 KiB and its header
	endless := bytes.Repeat([]byte{22, 3, 1, 0, 1, 1}, 2*maxHelloRecords)
	for name, step := range map[string]struct {
		in    []byte
		read  int
		whole bool
		ended bool
	}{
		"whole":              {one, len(one), true, false},
		"more behind it":     {append(bytes.Clone(one), 1, 2, 3), len(one), true, false},
		"in two records":     {split, len(split), true, false},
		"half":               {one[:20], 20, false, true},
		"nothing":            {nil, 0, false, true},
		"HTTP":               {[]byte("GET / HTTP/1.1\r\n"), 5, false, false},
		"another message":    {record, len(record), false, false},
		"too large":          {append(large, bytes.Repeat(record, 10)...), len(large), false, false},
		"an empty record":    {[]byte{22, 3, 1, 0, 0, 22}, 5, false, false},
		"a byte in each":     {endless, 6 * 4, false, false}, // its length is nonsense: more than 64 KiB
		"an oversize record": {[]byte{22, 3, 1, 0x40, 1, 1}, 5, false, false},
	} {
		r := bytes.NewReader(step.in)
		var want []byte
		if step.whole {
			want = one[5:]
		}
		data, hello, err := readHello(r)
		taken := len(step.in) - r.Len()
		if !bytes.Equal(data, step.in[:taken]) || !bytes.Equal(hello, want) || (err != nil) != step.ended || taken < step.read || taken > 2*step.read+4<<10 {
			t.Errorf("%s: %d bytes of %d, message of %d, %v; want %d, %v", name, len(data), taken, len(hello), err, step.read, step.whole)
		}
		// As slowly as can be, it reads nothing that it has no need of.
		r.Reset(step.in)
		if data, hello, err = readHello(iotest.OneByteReader(r)); len(data) != step.read || !bytes.Equal(hello, want) || (err != nil) != step.ended {
			t.Errorf("%s, a byte at a time: %d bytes, message of %d, %v; want %d, %v", name, len(data), len(hello), err, step.read, step.whole)
		}
	}
	drip := append([]byte{22, 3, 1, 0, 4, 1, 0, 1, 0}, bytes.Repeat([]byte{22, 3, 1, 0, 1, 0}, 255)...) // 256 bytes, one a record
	if data, hello, err := readHello(iotest.OneByteReader(bytes.NewReader(drip))); hello != nil || err != nil || len(data) != 9+6*(maxHelloRecords-1) {
		t.Errorf("%d bytes in many records: message of %d, %v", len(data), len(hello), err)
	}
}

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
