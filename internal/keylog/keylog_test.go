package keylog_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/halfshake/halfshake/internal/keylog"
	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/internal/testsecrets"
	"github.com/halfshake/halfshake/tls12"
)

func TestWriter(t *testing.T) {
	if got := keylog.Writer(nil); got != nil {
		t.Errorf("the writer of nil is %v", got)
	}
	var log bytes.Buffer
	w := keylog.Writer(&log)
	if again := keylog.Writer(w); again != w {
		t.Error("a writer is wrapped twice")
	}
	if n, err := w.Write([]byte("line\n")); n != 5 || err != nil || log.String() != "line\n" {
		t.Errorf("%d, %v, %q", n, err, &log)
	}
}

// TestEnginesShareALog has servers of both engines write to one buffer, which has
// no lock, at once. The race detector watches.
func TestEnginesShareALog(t *testing.T) {
	const rounds = 20
	ca := testca.Root("ca", testca.ECDSA)
	var log bytes.Buffer
	config := &tls.Config{Certificates: []tls.Certificate{ca.Server()}, MaxVersion: tls.VersionTLS12, KeyLogWriter: &log}
	wrapped := config.Clone()
	wrapped.KeyLogWriter = keylog.Writer(config.KeyLogWriter)
	var all sync.WaitGroup
	for range rounds {
		all.Go(func() {
			handshake(t, ca, func(conn net.Conn) (engine, error) { return tls.Server(conn, wrapped), nil })
		})
		all.Go(func() {
			handshake(t, ca, func(conn net.Conn) (engine, error) { return tls12.Server(conn, config, nil) })
		})
	}
	all.Wait()
	testsecrets.KeyLog().Write(log.Bytes())
	if lines := strings.Count(log.String(), "\n"); lines != 2*rounds || strings.Count(log.String(), "CLIENT_RANDOM ") != lines {
		t.Errorf("%d lines, want %d", lines, 2*rounds)
	}
}

type engine interface {
	HandshakeContext(context.Context) error
}

func handshake(t *testing.T, ca *testca.CA, open func(net.Conn) (engine, error)) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	client := tls.Client(near, &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"})
	done := make(chan error, 1)
	go func() { done <- client.HandshakeContext(t.Context()) }()
	server, err := open(far)
	if err == nil {
		err = server.HandshakeContext(t.Context())
	}
	if err != nil {
		t.Error(err)
		near.Close()
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
