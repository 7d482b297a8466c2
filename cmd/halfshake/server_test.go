package main

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/internal/testsecrets"
)

// tested is a server in this process, with limits of the test's choice.
type tested struct {
	addr, url string
	metrics   string // URL
	log       *logBuffer
	cancel    context.CancelFunc
	ended     chan error
}

// quick are limits that a test can wait for.
var quick = limits{
	handshake:   time.Second,
	request:     2 * time.Second,
	write:       2 * time.Second,
	idle:        time.Second,
	connections: 100,
	headerBytes: 4 << 10,
}

// startServer serves until the test ends.
func startServer(t *testing.T, l limits, adjust ...func(*serveFlags)) *tested {
	t.Helper()
	flags := &serveFlags{
		Listen: "127.0.0.1:0", Metrics: "127.0.0.1:0", StateDir: t.TempDir(), Store: "memory:",
		Timeout: duration{time.Minute}, Drain: duration{300 * time.Millisecond}, CacheSize: 100, CacheMode: cacheMode{halfshake.ModeServer},
	}
	for _, change := range adjust {
		change(flags)
	}
	r := &tested{log: &logBuffer{}, ended: make(chan error, 1)}
	log := slog.New(slog.NewTextHandler(recorded(r.log), &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := newServer(flags, log, l)
	if err != nil {
		t.Fatal(err)
	}
	r.addr, r.url, r.metrics = s.listener.Addr().String(), "https://"+s.listener.Addr().String(), "http://"+s.metrics.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.ended <- s.serve(ctx, make(chan os.Signal)) }()
	t.Cleanup(func() { r.stop(t) })
	return r
}

// to makes a server pass on what arrives.
func to(t *testing.T, target string) func(*serveFlags) {
	t.Helper()
	cert, key := certificateFiles(t)
	return func(f *serveFlags) {
		f.Cert, f.Key = cert, key
		if err := f.To.UnmarshalText([]byte(target)); err != nil {
			t.Fatal(err)
		}
	}
}

// stop ends the server, once.
func (r *tested) stop(t *testing.T) {
	if r.cancel == nil {
		return
	}
	r.cancel()
	r.cancel = nil
	select {
	case err := <-r.ended:
		if err != nil {
			t.Errorf("the server ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the server does not end")
	}
}

// mustAnswer fails the test unless a well-behaved client is served.
func (r *tested) mustAnswer(t *testing.T) {
	t.Helper()
	if _, err := newClient(&tls.Config{}, false).get(r.url + "/connection.json"); err != nil {
		t.Errorf("a good client: %v", err)
	}
}

// handshaken returns a connection whose handshake is complete.
func (r *tested) handshaken(t *testing.T, protocols ...string) *tls.Conn {
	t.Helper()
	config := &tls.Config{InsecureSkipVerify: true, NextProtos: protocols, KeyLogWriter: testsecrets.KeyLog()}
	conn, err := tls.Dial("tcp", r.addr, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// readAll reads what the server says until it closes, which is to be soon.
func readAll(t *testing.T, conn io.Reader, deadline interface{ SetReadDeadline(time.Time) error }) string {
	t.Helper()
	if err := deadline.SetReadDeadline(time.Now().Add(15 * time.Second)); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(conn)
	if timeout, ok := err.(interface{ Timeout() bool }); ok && timeout.Timeout() {
		t.Error("the server keeps the connection open")
	}
	_, _ = testsecrets.LogWriter().Write(said)
	return string(said)
}
