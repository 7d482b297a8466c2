package interop

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/internal/testpeer"
	"github.com/halfshake/halfshake/internal/testsecrets"
)

// clientConnections is how many connections the clients of TestClientCache make in all:
// 10,000 with HALFSHAKE_SOAK set (make soak).
func clientConnections() int {
	if os.Getenv("HALFSHAKE_SOAK") != "" {
		return 10_000
	}
	return 640
}

// A resumer is a server that resumes.
type resumer struct {
	name  string
	start func(t *testing.T, certificate tls.Certificate) (addr string)
	byID  bool // it is for clients that resume by session id
}

var resumers = []resumer{
	{name: "crypto/tls", start: startGo},
	{name: "Halfshake", start: startHalfshake},
	{name: "openssl s_server", start: func(t *testing.T, c tls.Certificate) string { return startSServer(t, c) }},
	{name: "nginx", start: func(t *testing.T, c tls.Certificate) string { return startNginx(t, c, "on") }},
	{name: "Halfshake by session id", start: startHalfshakeByID, byID: true},
	{name: "openssl s_server without tickets", start: func(t *testing.T, c tls.Certificate) string { return startSServer(t, c, "-no_ticket") }, byID: true},
	{name: "nginx without tickets", start: func(t *testing.T, c tls.Certificate) string { return startNginx(t, c, "off") }, byID: true},
}

// eachResumer runs f against each server in each version that it is for.
func eachResumer(t *testing.T, f func(t *testing.T, c *cachingClient)) {
	authority := newAuthority("client cache authority", testca.ECDSA)
	for _, server := range resumers {
		t.Run(server.name, func(t *testing.T) {
			addr := server.start(t, authority.server())
			for _, version := range bothVersions {
				if server.byID && version == tls.VersionTLS13 {
					continue
				}
				t.Run(tls.VersionName(version), func(t *testing.T) { f(t, newCachingClient(t, clientCacheBase(authority, version), addr, server.byID)) })
			}
		})
	}
}

// A cachingClient is a client with a Cache.
type cachingClient struct {
	cache *halfshake.Cache
	base  *tls.Config
	addr  string
	byID  bool

	now     func() time.Time
	advance func(time.Duration)

	mu   sync.Mutex
	made []*halfshake.Session
}

func clientCacheBase(authority authority, version uint16) *tls.Config {
	return &tls.Config{
		RootCAs: authority.root.Pool(), ServerName: serverName, MinVersion: version, MaxVersion: version, KeyLogWriter: testsecrets.KeyLog(),
	}
}

func newCachingClient(t *testing.T, base *tls.Config, addr string, byID bool) *cachingClient {
	t.Helper()
	c := &cachingClient{addr: addr, byID: byID, base: base}
	ahead := time.Duration(0)
	c.now = func() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return time.Now().Add(ahead) }
	c.advance = func(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); ahead += d }
	c.cache = c.newCache(t)
	return c
}

func (c *cachingClient) newCache(t *testing.T) *halfshake.Cache {
	t.Helper()
	cache, err := halfshake.New(halfshake.Config{
		Mode: halfshake.ModeClient, Time: c.now,
		Logger: slog.New(slog.NewTextHandler(testsecrets.LogWriter(), &slog.HandlerOptions{Level: slog.LevelDebug})),
		Callbacks: halfshake.Callbacks{New: func(_ context.Context, _ halfshake.ConnInfo, s *halfshake.Session) bool {
			testsecrets.Record(s.ID())
			c.mu.Lock()
			defer c.mu.Unlock()
			c.made = append(c.made, s)
			return true
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cache.Close() })
	return cache
}

// connect makes one connection under a base, which must succeed.
func (c *cachingClient) connect(t *testing.T, base *tls.Config) (resumed bool) {
	t.Helper()
	raw, err := net.DialTimeout("tcp", c.addr, libraryLimit)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(libraryLimit))
	conn, state := c.client(t, raw, base)
	if _, err = fmt.Fprintf(conn, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", serverName); err == nil {
		_, err = io.Copy(io.Discard, conn)
	}
	if err != nil && !strings.Contains(err.Error(), "EOF") {
		t.Fatalf("the connection failed: %v", err)
	}
	conn.Close()
	return state().DidResume
}

func (c *cachingClient) client(t *testing.T, raw net.Conn, base *tls.Config) (net.Conn, func() tls.ConnectionState) {
	t.Helper()
	if c.byID {
		conn, err := c.cache.Client(raw, base, c.addr)
		if err != nil {
			t.Fatal(err)
		}
		return conn, conn.ConnectionState
	}
	config, err := c.cache.ClientConfig(base, c.addr)
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, config)
	return conn, conn.ConnectionState
}

// Every second connection of a client resumes, to every server in both versions.
func TestClientCache(t *testing.T) {
	const combinations = 4*2 + 3
	pairs := (clientConnections()/2 + combinations - 1) / combinations
	eachResumer(t, func(t *testing.T, c *cachingClient) {
		for i := range pairs {
			if first, second := c.connect(t, c.base), c.connect(t, c.base); first || !second {
				t.Fatalf("pair %d: resumed %v, %v; want the second to", i, first, second)
			}
			c.cache.Flush(time.Time{})
		}
		if st := c.cache.Stats(); int(st.Connect) != 2*pairs || st.Connect != st.ConnectGood || int(st.Hits) != pairs || st.Misses != 0 {
			t.Errorf("after %d connections: %d, %d good, %d hits, %d misses", 2*pairs, st.Connect, st.ConnectGood, st.Hits, st.Misses)
		}
	})
}

// No connection fails because its session is refused, has expired, or was offered before.
func TestClientCacheMisses(t *testing.T) {
	eachResumer(t, func(t *testing.T, c *cachingClient) {
		c.connect(t, c.base)
		c.advance(halfshake.DefaultTimeout + time.Second)
		if c.connect(t, c.base) {
			t.Error("an expired session resumed")
		}
		for range 3 { // what the server makes of a session that comes again is up to it
			replay := c.base.Clone()
			replay.ClientSessionCache = c.cache.Offer(c.made[len(c.made)-1])
			c.connect(t, replay)
			replay.ClientSessionCache = c.cache.Offer(c.made[0])
			c.connect(t, replay)
		}
		elsewhere := newCachingClient(t, c.base.Clone(), c.addr, c.byID)
		foreign := damaged(t, c.made[len(c.made)-1])
		elsewhere.base.ClientSessionCache = elsewhere.cache.Offer(foreign)
		if elsewhere.connect(t, elsewhere.base) {
			t.Error("a ticket that the server never made resumed")
		}
		if st := elsewhere.cache.Stats(); st.Misses != 1 {
			t.Errorf("%d misses; the ticket was not offered", st.Misses)
		}
	})
}

// damaged returns the session with another ticket or session id, which its server refuses.
func damaged(t *testing.T, s *halfshake.Session) *halfshake.Session {
	t.Helper()
	data, err := s.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-4-1] ^= 1 // the last byte of the last field
	resum(data)
	other, err := halfshake.ParseSession(data)
	if err != nil {
		t.Fatal(err)
	}
	return other
}

// startGo serves HTTP with crypto/tls.
func startGo(t *testing.T, certificate tls.Certificate) string {
	return servePage(t, func(inner net.Listener) net.Listener {
		return tls.NewListener(inner, &tls.Config{Certificates: []tls.Certificate{certificate}})
	})
}

// startHalfshake serves HTTP with ServerConfig.
func startHalfshake(t *testing.T, certificate tls.Certificate) string {
	config, err := serverCache(t, halfshake.SessionIDsOff).ServerConfig(&tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	return servePage(t, func(inner net.Listener) net.Listener { return tls.NewListener(inner, config) })
}

// startHalfshakeByID serves HTTP with NewListener, by session id.
func startHalfshakeByID(t *testing.T, certificate tls.Certificate) string {
	cache := serverCache(t, halfshake.SessionIDsAlways)
	return servePage(t, func(inner net.Listener) net.Listener {
		l, err := cache.NewListener(inner, &tls.Config{Certificates: []tls.Certificate{certificate}})
		if err != nil {
			t.Fatal(err)
		}
		return l
	})
}

func serverCache(t *testing.T, ids halfshake.SessionIDs) *halfshake.Cache {
	t.Helper()
	cache, err := halfshake.New(halfshake.Config{SessionIDs: ids, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cache.Close() })
	return cache
}

func servePage(t *testing.T, secure func(net.Listener) net.Listener) string {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(secure(inner)) }()
	t.Cleanup(func() { server.Close(); <-done })
	return inner.Addr().String()
}

// startSServer runs "openssl s_server", which serves one connection after the other.
func startSServer(t *testing.T, certificate tls.Certificate, args ...string) string {
	cert := writeFiles(t, certificate)
	return startProgram(t, "openssl", func(addr string) []string {
		return append([]string{"s_server", "-accept", addr, "-cert", cert.chain, "-cert_chain", cert.intermediate, "-key", cert.key, "-www", "-quiet"}, args...)
	})
}

// startNginx runs nginx with one worker.
func startNginx(t *testing.T, certificate tls.Certificate, tickets string) string {
	cert, dir := writeFiles(t, certificate), t.TempDir()
	return startProgram(t, "nginx", func(addr string) []string {
		file := filepath.Join(dir, "nginx.conf")
		config := strings.NewReplacer("DIR", dir, "ADDR", addr, "CHAIN", cert.chain, "KEY", cert.key, "TICKETS", tickets).Replace(nginxConfig)
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{"-c", file, "-e", "stderr"}
	})
}

const nginxConfig = `daemon off;
worker_processes 1;
pid DIR/nginx.pid;
events { worker_connections 512; }
http {
	access_log off;
	client_body_temp_path DIR/nginx-body;
	proxy_temp_path DIR/nginx-proxy;
	fastcgi_temp_path DIR/nginx-fastcgi;
	uwsgi_temp_path DIR/nginx-uwsgi;
	scgi_temp_path DIR/nginx-scgi;
	server {
		listen ADDR ssl;
		ssl_certificate CHAIN;
		ssl_certificate_key KEY;
		ssl_protocols TLSv1.2 TLSv1.3;
		ssl_session_tickets TICKETS;
		ssl_session_cache shared:clients:10m;
		location / { return 200 hello; }
	}
}
`

// startProgram runs a server on a free port and waits until it listens.
func startProgram(t *testing.T, name string, args func(addr string) []string) (addr string) {
	t.Helper()
	testpeer.Need(t, name)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = free.Addr().String()
	free.Close()
	var said bytes.Buffer
	cmd := exec.Command(name, args(addr)...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &said, &said, libraryLimit
	stdin, err := cmd.StdinPipe() // s_server ends when its input does
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) // nginx ends its worker too
		stdin.Close()
		cmd.Wait()
	})
	for deadline := time.Now().Add(libraryLimit); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			return addr
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %v", name, err)
		}
	}
}

// resum makes the checksum at the end of an encoded session right again.
func resum(data []byte) {
	sum := crc32.Checksum(data[:len(data)-4], crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(data[len(data)-4:], sum)
}
