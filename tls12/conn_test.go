package tls12

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// sendRecords sends records to a new server and returns the error of its handshake.
func sendRecords(t *testing.T, records ...[]byte) (*Conn, error) {
	t.Helper()
	clientConn, serverConn := tcpPair(t)
	s := newServer(t, serverConn, serverConfig(t), nil)
	done := make(chan error, 1)
	go func() { done <- handshakeOrClose(s) }()
	for _, record := range records {
		if _, err := clientConn.Write(record); err != nil {
			break // the server has closed the connection
		}
	}
	clientConn.(*net.TCPConn).CloseWrite()
	go io.Copy(io.Discard, clientConn)
	return s, <-done
}

// TestRecordBounds sends records instead of a ClientHello that a server must refuse,
// and a few that it must bear.
func TestRecordBounds(t *testing.T) {
	warning := newRecord(recordAlert, []byte{levelWarning, 90})
	largest := newRecord(recordHandshake, append([]byte{byte(typeClientHello), 0, 0xff, 0xff}, make([]byte, maxPlaintext-4)...))
	for name, test := range map[string]struct {
		records [][]byte
		alert   tls.AlertError
	}{
		"5 warnings":                 {slices.Repeat([][]byte{warning}, maxWarnings+1), alertUnexpectedMessage},
		"a record too long":          {[][]byte{newRecord(recordHandshake, make([]byte, maxCiphertext+1))}, alertRecordOverflow},
		"a content too long":         {[][]byte{newRecord(recordHandshake, make([]byte, maxPlaintext+1))}, alertRecordOverflow},
		"a message too long":         {[][]byte{newRecord(recordHandshake, []byte{byte(typeClientHello), 1, 0, 1})}, alertIllegalParameter},
		"a message of 64 KiB":        {slices.Repeat([][]byte{largest}, 5), alertDecodeError},
		"an alert of one byte":       {[][]byte{newRecord(recordAlert, []byte{1})}, alertUnexpectedMessage},
		"an alert of four bytes":     {[][]byte{newRecord(recordAlert, []byte{1, 90, 1, 90})}, alertUnexpectedMessage},
		"an alert of level 3":        {[][]byte{newRecord(recordAlert, []byte{3, 90})}, alertIllegalParameter},
		"an SSLv2 hello":             {[][]byte{{0x80, 0x2e, 1, 3, 1}}, alertProtocolVersion},
		"an empty handshake":         {[][]byte{newRecord(recordHandshake, nil)}, alertUnexpectedMessage},
		"a message that is no hello": {[][]byte{recordOfDone}, alertUnexpectedMessage},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := sendRecords(t, test.records...)
			checkRefused(t, s, err, test.alert)
			if size := len(s.in.buf); size > largeBuffer {
				t.Errorf("the buffer has %d bytes", size)
			}
		})
	}
	t.Run("4 warnings", func(t *testing.T) {
		if _, err := sendRecords(t, slices.Repeat([][]byte{warning}, maxWarnings)...); err != io.EOF {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("a fatal alert", func(t *testing.T) {
		_, err := sendRecords(t, newRecord(recordAlert, []byte{levelFatal, 40}))
		wantAlert(t, err, "remote error", alertHandshakeFailure)
	})
	t.Run("plain HTTP", func(t *testing.T) {
		_, err := sendRecords(t, []byte("GET / HTTP/1.1\r\n\r\n"))
		header, ok := err.(tls.RecordHeaderError)
		if !ok || string(header.RecordHeader[:]) != "GET /" || header.Conn == nil {
			t.Errorf("the error is %#v", err)
		}
	})
	t.Run("half a record", func(t *testing.T) {
		if _, err := sendRecords(t, recordOfDone[:7]); err != io.ErrUnexpectedEOF {
			t.Errorf("the error is %v", err)
		}
	})
}

// TestUselessRecords checks the limits on empty application data and on warnings after
// the handshake. Neither kind of record resets the other's count.
func TestUselessRecords(t *testing.T) {
	send := func(c *Conn, typ recordType, content []byte) {
		t.Helper()
		c.out.Lock()
		defer c.out.Unlock()
		record, err := c.out.encode(nil, typ, content)
		must(t, err)
		must(t, c.out.send(record))
	}
	for _, test := range []struct {
		empty, warnings int
		good            bool
	}{
		{maxEmpty, maxWarnings, true},
		{maxEmpty + 1, maxWarnings, false},
		{maxEmpty, maxWarnings + 1, false},
	} {
		c, s := connect(t, clientConfig(t), serverConfig(t), nil, nil)
		for round := range 2 { // data resets the counts
			for i := max(test.empty, test.warnings); i > 0; i-- {
				if i <= test.empty {
					send(c, recordApplicationData, nil)
				}
				if i <= test.warnings {
					send(c, recordAlert, []byte{levelWarning, 90})
				}
			}
			send(c, recordApplicationData, []byte("text"))
			b := make([]byte, 10)
			n, err := s.Read(b)
			if !test.good {
				wantAlert(t, err, "local error", alertUnexpectedMessage)
				break
			}
			if err != nil || string(b[:n]) != "text" {
				t.Errorf("round %d, after %d empty records and %d warnings: %q, %v", round, test.empty, test.warnings, b[:n], err)
			}
		}
	}
}

// TestRecordVersion sends a record of another version than was agreed on.
func TestRecordVersion(t *testing.T) {
	c, s := connect(t, clientConfig(t), serverConfig(t), nil, nil)
	c.out.version = tls.VersionTLS11
	_, err := c.Write([]byte("text"))
	must(t, err)
	_, err = s.Read(make([]byte, 4))
	wantAlert(t, err, "local error", alertProtocolVersion)
}

// TestLargeRecord sends the largest record that is allowed, and one byte more.
func TestLargeRecord(t *testing.T) {
	for _, size := range []int{maxPlaintext, maxPlaintext + 1} {
		c, s := connect(t, clientConfig(t), serverConfig(t), nil, nil)
		record, err := c.out.encode(nil, recordApplicationData, make([]byte, size))
		must(t, err)
		go c.conn.Write(record)
		_, err = io.ReadFull(s, make([]byte, maxPlaintext))
		if size <= maxPlaintext {
			must(t, err)
		} else {
			wantAlert(t, err, "local error", alertRecordOverflow)
		}
	}
}

// TestMemory checks what the package documentation says about memory.
func TestMemory(t *testing.T) {
	c, s := connect(t, clientConfig(t), serverConfig(t), &mapSessions{}, nil)
	for _, side := range []*Conn{c, s} {
		if size := len(side.in.buf); size != smallBuffer {
			t.Errorf("the buffer has %d bytes", size)
		}
		if side.in.handshake != nil || side.out.flight != nil {
			t.Error("the handshake's messages are still there")
		}
	}
	exchange(t, c, s, make([]byte, 1<<20))
	for _, side := range []*Conn{c, s} {
		if size := len(side.in.buf); size != largeBuffer {
			t.Errorf("the buffer has %d bytes", size)
		}
	}
}

// TestDeadlines checks that a Read continues after a timeout in the middle of a
// record, and that a Write does not.
func TestDeadlines(t *testing.T) {
	c, s := connect(t, clientConfig(t), serverConfig(t), nil, nil)
	record, err := c.out.encode(nil, recordApplicationData, []byte("text"))
	must(t, err)
	for i, b := range record {
		if _, err := c.conn.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
		if i == len(record)-1 {
			break
		}
		s.SetReadDeadline(time.Now().Add(time.Millisecond))
		if n, err := s.Read(make([]byte, 10)); n != 0 || !isTimeout(err) {
			t.Fatalf("after %d bytes: %d, %v", i+1, n, err)
		}
	}
	s.SetReadDeadline(time.Now().Add(limit))
	b := make([]byte, 10)
	if n, err := s.Read(b); err != nil || string(b[:n]) != "text" {
		t.Errorf("%q, %v", b[:n], err)
	}

	s.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	_, err = s.Write(make([]byte, 64<<20))
	if !isTimeout(err) {
		t.Fatalf("Write: %v", err)
	}
	s.SetWriteDeadline(time.Now().Add(limit))
	if _, again := s.Write([]byte("text")); again != err || isTemporary(again) {
		t.Errorf("a later Write: %v", again)
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

func isTemporary(err error) bool {
	e, ok := err.(interface{ Temporary() bool })
	return ok && e.Temporary()
}

// TestCloseWrite checks what a connection can still do after close_notify.
func TestCloseWrite(t *testing.T) {
	clientConn, serverConn := tcpPair(t)
	c, s := newClient(t, clientConn, clientConfig(t), nil), newServer(t, serverConn, serverConfig(t), nil)
	if err := s.CloseWrite(); !errors.Is(err, errEarlyCloseWrite) {
		t.Errorf("before the handshake: %v", err)
	}
	if clientErr, serverErr := handshakes(c, s); clientErr != nil || serverErr != nil {
		t.Fatal(clientErr, serverErr)
	}
	must(t, s.CloseWrite())
	must(t, s.CloseWrite())
	if _, err := s.Write([]byte("text")); !errors.Is(err, errShutdown) {
		t.Errorf("Write: %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("Read: %v", err)
	}
	_, err := c.Write([]byte("text"))
	must(t, err)
	b := make([]byte, 10)
	if n, err := s.Read(b); err != nil || string(b[:n]) != "text" {
		t.Errorf("%q, %v", b[:n], err)
	}
	must(t, s.Close())
	if err := s.Close(); err != net.ErrClosed {
		t.Errorf("a second Close: %v", err)
	}
	if _, err := s.Write(nil); err != net.ErrClosed {
		t.Errorf("Write after Close: %v", err)
	}
}

// TestHandshakeContext cancels a handshake that waits for its peer.
func TestHandshakeContext(t *testing.T) {
	_, serverConn := tcpPair(t)
	s := newServer(t, serverConn, serverConfig(t), nil)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if err := s.HandshakeContext(ctx); err != context.Canceled {
		t.Errorf("the error is %v", err)
	}
	if err := s.Handshake(); err == nil {
		t.Error("a second handshake went on")
	}
}

// TestWaitForHandshake checks that a call which waits for a handshake in another
// goroutine returns when its own context ends, and leaves the handshake alone.
func TestWaitForHandshake(t *testing.T) {
	clientConn, serverConn := tcpPair(t)
	s := newServer(t, serverConn, serverConfig(t), nil)
	results := make(chan error, 2)
	go func() { results <- s.Handshake() }()
	for !s.started.Load() {
		runtime.Gosched()
	}
	go func() { results <- s.HandshakeContext(t.Context()) }()

	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	for range 2 { // once during the wait, once before it
		if err := s.HandshakeContext(ctx); err != context.Canceled {
			t.Errorf("a call whose context ended: %v", err)
		}
	}
	must(t, newClient(t, clientConn, clientConfig(t), nil).Handshake())
	must(t, <-results)
	must(t, <-results)
	must(t, s.HandshakeContext(ctx)) // the handshake is complete
}

// TestPanicInHandshake checks that after a handshake panicked, no call waits for it or
// runs it again.
func TestPanicInHandshake(t *testing.T) {
	clientConn, serverConn := tcpPair(t)
	config := serverConfig(t)
	config.VerifyConnection = func(tls.ConnectionState) error { panic("a test's") }
	s := newServer(t, serverConn, config, nil)
	go newClient(t, clientConn, clientConfig(t), nil).Handshake()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was lost")
			}
		}()
		s.Handshake()
	}()
	if _, err := s.Read(make([]byte, 1)); err != errPanicked {
		t.Errorf("Read: %v", err)
	}
	must(t, s.Close())
}

// TestContextReachesSessions checks that Sessions get the handshake's context.
func TestContextReachesSessions(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, true)
	sessions := &contextSessions{key: key{}}
	made := establish(t, clientConfig(t), serverConfig(t), &sessions.mapSessions)
	for _, proposed := range []*Session{nil, made} {
		clientConn, serverConn := tcpPair(t)
		s := newServer(t, serverConn, serverConfig(t), sessions)
		done := make(chan error, 1)
		go func() { done <- s.HandshakeContext(ctx) }()
		must(t, newClient(t, clientConn, clientConfig(t), proposed).Handshake())
		must(t, <-done)
	}
	if sessions.seen != 4 {
		t.Errorf("%d calls had the context, want 4", sessions.seen)
	}
}

type contextSessions struct {
	mapSessions
	key  any
	seen int
}

func (s *contextSessions) saw(ctx context.Context) {
	if ctx.Value(s.key) != nil {
		s.seen++
	}
}

func (s *contextSessions) Lookup(ctx context.Context, h *ClientHello, id []byte) *Session {
	s.saw(ctx)
	return s.mapSessions.Lookup(ctx, h, id)
}

func (s *contextSessions) NewID(ctx context.Context, h *ClientHello) []byte {
	s.saw(ctx)
	return s.mapSessions.NewID(ctx, h)
}

func (s *contextSessions) Completed(ctx context.Context, h *ClientHello, made *Session) {
	s.saw(ctx)
	s.mapSessions.Completed(ctx, h, made)
}

func (s *contextSessions) Resumed(ctx context.Context, h *ClientHello, made *Session) {
	s.saw(ctx)
	s.mapSessions.Resumed(ctx, h, made)
}

// TestConcurrentUse reads, writes and closes at once, for the race detector, and checks
// that no goroutine is left.
func TestConcurrentUse(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 10 {
		clientConn, serverConn := tcpPair(t)
		c, s := newClient(t, clientConn, clientConfig(t), nil), newServer(t, serverConn, serverConfig(t), &mapSessions{})
		var all sync.WaitGroup
		for _, side := range []*Conn{c, s} {
			for range 3 {
				all.Go(func() {
					b := make([]byte, 1000)
					for {
						if _, err := side.Read(b); err != nil {
							return
						}
					}
				})
				all.Go(func() {
					for {
						if _, err := side.Write(make([]byte, 3000)); err != nil {
							return
						}
					}
				})
				all.Go(func() { side.ConnectionState(); side.ExportKeyingMaterial("label", nil, 8) })
			}
			all.Go(func() { time.Sleep(10 * time.Millisecond); side.CloseWrite(); side.Close() })
		}
		all.Wait()
	}
	for deadline := time.Now().Add(limit); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// TestConnectionStateCompletes checks that ConnectionState runs the handshake, because
// net/http calls it before Read.
func TestConnectionStateCompletes(t *testing.T) {
	clientConn, serverConn := tcpPair(t)
	s := newServer(t, serverConn, serverConfig(t), nil)
	go newClient(t, clientConn, clientConfig(t), nil).Handshake()
	if state := s.ConnectionState(); !state.HandshakeComplete || state.ServerName != "localhost" {
		t.Errorf("the state is %+v", state)
	}
	state := s.ConnectionState()
	if _, err := state.ExportKeyingMaterial("label", nil, 1); err == nil {
		t.Error("the state's ExportKeyingMaterial works")
	}
}

// TestKeyLog compares the lines of both sides, in full and abbreviated handshakes.
func TestKeyLog(t *testing.T) {
	client, server, sessions := clientConfig(t), serverConfig(t), &mapSessions{}
	var clientLog, serverLog bytes.Buffer
	client.KeyLogWriter, server.KeyLogWriter = &clientLog, &serverLog
	made := establish(t, client, server, sessions)
	connect(t, client, server, sessions, made)
	lines := strings.Split(strings.TrimSpace(serverLog.String()), "\n")
	if len(lines) != 2 || clientLog.String() != serverLog.String() {
		t.Fatal("the logs differ, or have not one line a handshake")
	}
	for _, line := range lines {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[0] != "CLIENT_RANDOM" || len(fields[1]) != 64 || fields[2] != hex.EncodeToString(made.MasterSecret) {
			t.Error("a line is malformed")
		}
	}
	server.KeyLogWriter = failingWriter{}
	clientConn, serverConn := tcpPair(t)
	_, err := handshakes(newClient(t, clientConn, client, nil), newServer(t, serverConn, server, nil))
	wantAlert(t, err, "local error", alertInternalError)
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// TestPrintingShowsNothing prints a session in every way and searches for its secrets.
func TestPrintingShowsNothing(t *testing.T) {
	s := establish(t, clientConfig(t), serverConfig(t), &mapSessions{})
	encoded, err := json.Marshal(change(s, func(s *Session) { s.PeerCertificates, s.VerifiedChains = nil, nil }))
	must(t, err)
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("text", "session", s)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("text", "session", *s)
	all := string(encoded) + logged.String() + fmt.Sprint(s, *s) + s.String() +
		fmt.Sprintf("%v %+v %#v %x %v", *s, *s, *s, *s, struct{ S Session }{*s}) +
		fmt.Sprintf("%v %+v %#v %s %q %x %X %d %v", s, s, s, s, s, s, s, s, []*Session{s})
	for _, secret := range [][]byte{s.ID, s.MasterSecret} {
		for _, form := range []string{hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret)), string(secret), fmt.Sprint(secret)[1:60]} {
			if strings.Contains(all, form) {
				t.Error("a secret is shown")
			}
		}
	}
	if got := fmt.Sprint((*Session)(nil)); got != "<nil>" {
		t.Errorf("no session is %q", got)
	}
	if !strings.Contains(all, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256") {
		t.Errorf("nothing is shown: %s", all)
	}
}

// TestConfigRefused checks that the constructors refuse configurations that they cannot
// honour.
func TestConfigRefused(t *testing.T) {
	for name, f := range map[string]func(*tls.Config){
		"MinVersion":       func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 },
		"MaxVersion":       func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11 },
		"Renegotiation":    func(c *tls.Config) { c.Renegotiation = tls.RenegotiateOnceAsClient },
		"CipherSuites":     func(c *tls.Config) { c.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256} },
		"CurvePreferences": func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519MLKEM768} },
		"NextProtos":       func(c *tls.Config) { c.NextProtos = []string{""} },
		"EncryptedClientHello": func(c *tls.Config) {
			c.EncryptedClientHelloKeys = []tls.EncryptedClientHelloKey{{}}
			c.EncryptedClientHelloConfigList = []byte{1}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for side, config := range map[string]*tls.Config{"server": serverConfig(t), "client": clientConfig(t)} {
				f(config)
				var err error
				if side == "server" {
					_, err = Server(&net.TCPConn{}, config, nil)
				} else {
					_, err = Client(&net.TCPConn{}, config, nil)
				}
				if err == nil || !strings.Contains(err.Error(), name) {
					t.Errorf("%s: the error is %v", side, err)
				}
			}
		})
	}
	for name, f := range map[string]func() error{
		"no server config": func() error { _, err := Server(&net.TCPConn{}, nil, nil); return err },
		"no client config": func() error { _, err := Client(&net.TCPConn{}, nil, nil); return err },
		"no server conn":   func() error { _, err := Server(nil, serverConfig(t), nil); return err },
		"no client conn":   func() error { _, err := Client(nil, clientConfig(t), nil); return err },
		"no ServerName":    func() error { _, err := Client(&net.TCPConn{}, &tls.Config{}, nil); return err },
	} {
		if f() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestVerifyingClientHasTodaysChains checks that a client which verifies, and resumes a
// session that was made without verification, has chains of its own.
func TestVerifyingClientHasTodaysChains(t *testing.T) {
	sessions := &mapSessions{}
	lax := clientConfig(t)
	lax.InsecureSkipVerify = true
	c, _ := connect(t, lax, serverConfig(t), sessions, nil)
	made := c.Session()
	c, _ = connect(t, clientConfig(t), serverConfig(t), sessions, made)
	if state := c.ConnectionState(); !state.DidResume || len(state.VerifiedChains) == 0 {
		t.Errorf("resumed %v with %d chains", state.DidResume, len(state.VerifiedChains))
	}
}

// TestConnPrintsNothing prints a connection and searches for its secrets and data.
func TestConnPrintsNothing(t *testing.T) {
	sessions := &mapSessions{}
	c, _ := connect(t, clientConfig(t), serverConfig(t), sessions, nil)
	made := c.Session()
	c, s := connect(t, clientConfig(t), serverConfig(t), sessions, made)
	c.Write([]byte("password"))
	s.Read(make([]byte, 1))
	for _, side := range []*Conn{c, s} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
			text := fmt.Sprintf(verb, side)
			for _, secret := range [][]byte{made.ID, made.MasterSecret, []byte("assword")} {
				for _, form := range []string{string(secret), fmt.Sprintf("%x", secret), strings.Trim(fmt.Sprint(secret), "[]")} {
					if strings.Contains(text, form) {
						t.Errorf("%s shows a secret", verb)
					}
				}
			}
		}
	}
}
