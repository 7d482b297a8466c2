package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testsecrets"
	"github.com/halfshake/halfshake/tls12"
)

// A front is a TLS server in front of an HTTP proxy.
type front struct {
	proxy  *HTTP
	server *http.Server
	addr   string
	way    way
	log    *logLines

	resumed atomic.Bool // whether the last connection of a tls12 client resumed
}

// newFront serves the target until the test ends, with the timeouts of "halfshake serve"
// unless adjust changes them.
func newFront(t *testing.T, w way, target string, options HTTPOptions, adjust ...func(*http.Server, *tls.Config)) *front {
	t.Helper()
	f := &front{way: w, log: &logLines{}}
	options.Log = testLogger(f.log)
	f.proxy = NewHTTP(Target{"http", target}, options)
	f.server = &http.Server{
		Handler: f.proxy, ReadHeaderTimeout: limit, ReadTimeout: 3 * limit, WriteTimeout: 3 * limit, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(slog.NewTextHandler(t.Output(), nil), slog.LevelDebug),
	}
	config := serverConfig()
	for _, change := range adjust {
		change(f.server, config)
	}
	l := w.listen(t, listen(t), config)
	f.addr = l.Addr().String()
	var done sync.WaitGroup
	done.Go(func() { _ = f.server.Serve(l) })
	t.Cleanup(func() {
		_ = f.stop(limit)
		done.Wait()
		if t.Failed() {
			t.Logf("the proxy logged:\n%s", f.log)
		}
	})
	return f
}

// testLogger writes to lines, and to the log that is searched for secrets.
func testLogger(lines io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(io.MultiWriter(lines, testsecrets.LogWriter()), nil))
}

// stop does what serve.go does when it ends.
func (f *front) stop(grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if f.server.Shutdown(ctx) != nil {
		_ = f.server.Close()
	}
	return f.proxy.Drain(ctx)
}

// client returns an HTTP client for the front's way.
func (f *front) client(t *testing.T) *http.Client {
	t.Helper()
	return f.clientWith(t, clientConfig(f.way.version))
}

func (f *front) clientWith(t *testing.T, config *tls.Config) *http.Client {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!f.way.http2)
	protocols.SetHTTP2(f.way.http2)
	transport := &http.Transport{TLSClientConfig: config, Protocols: protocols, DisableCompression: true, ExpectContinueTimeout: limit}
	if f.way.tls12 {
		transport.DialTLSContext = f.dial12(config)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: 2 * limit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// dial12 makes connections that propose the session of the previous one by session id,
// which crypto/tls cannot do.
func (f *front) dial12(config *tls.Config) func(context.Context, string, string) (net.Conn, error) {
	config = config.Clone()
	config.ClientSessionCache = nil
	var mu sync.Mutex
	var session *tls12.Session
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		raw, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		conn, err := tls12.Client(raw, config, session)
		if err != nil {
			return nil, err
		}
		if err := conn.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		if session = conn.Session(); session != nil {
			testsecrets.Record(session.ID, session.MasterSecret)
		}
		f.resumed.Store(conn.ConnectionState().DidResume)
		return conn, nil
	}
}

func (f *front) didResume(r *http.Response) bool {
	if r.TLS == nil {
		return f.resumed.Load()
	}
	return r.TLS.DidResume
}

func (f *front) url(path string) string { return "https://" + f.addr + path }

// dial returns a TLS connection to the front, over which a test speaks HTTP/1.1 itself.
func (f *front) dial(t *testing.T) *tls.Conn {
	t.Helper()
	return dialTLS(t, f.addr, clientConfig(f.way.version))
}

func dialTLS(t *testing.T, addr string, config *tls.Config) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(2 * limit))
	return conn
}

// raw sends bytes over a new connection and returns the first answer.
func (f *front) raw(t *testing.T, sent string) *http.Response {
	t.Helper()
	conn := f.dial(t)
	if _, err := io.WriteString(conn, sent); err != nil {
		t.Fatal(err)
	}
	return readResponse(t, bufio.NewReader(conn), "GET")
}

func readResponse(t *testing.T, r *bufio.Reader, method string) *http.Response {
	t.Helper()
	response, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func bodyOf(t *testing.T, r *http.Response) string {
	t.Helper()
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("the body: %v", err)
	}
	return string(body)
}

// send sends a request, which must get an answer.
func send(t *testing.T, client *http.Client, r *http.Request) *http.Response {
	t.Helper()
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func newRequest(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// logLines is a log that can be read while it is written.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "")
}

// eventually waits until a condition is true.
func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in %v: %s", within, what)
		}
	}
}
