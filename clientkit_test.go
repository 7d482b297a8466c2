package halfshake

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/internal/testsecrets"
)

// A peer is a server of crypto/tls or of a door. It records what its clients offer.
type peer struct {
	open opener

	mu     sync.Mutex
	hellos int
	offers [][]byte // of the ClientHellos that offered something
}

// newPeer returns a server of crypto/tls alone.
func newPeer(config *tls.Config) *peer {
	config = config.Clone()
	return &peer{open: func(raw net.Conn) handshaker { return tls.Server(raw, config) }}
}

// seen returns the number of ClientHellos and what they offered.
func (p *peer) seen() (hellos int, offers [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hellos, slices.Clone(p.offers)
}

func (p *peer) note(hello []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hellos++
	if id := offeredIn(hello); id != nil {
		p.offers = append(p.offers, id)
	}
}

// visit makes one connection under a client's configuration. The server says one byte,
// after its tickets.
func (p *peer) visit(t testing.TB, config *tls.Config) (cs tls.ConnectionState, err error) {
	t.Helper()
	near, stop := p.serve(t)
	defer stop()
	conn := tls.Client(near, config)
	defer conn.Close()
	_, err = io.ReadFull(conn, make([]byte, 1))
	return conn.ConnectionState(), err
}

// serve serves one connection, whose client's end it returns.
func (p *peer) serve(t testing.TB) (near net.Conn, stop func()) {
	t.Helper()
	near, far := socketPair(t)
	near.SetDeadline(time.Now().Add(30 * time.Second))
	far.SetDeadline(time.Now().Add(30 * time.Second))
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer far.Close()
		data, hello, err := readHello(far)
		if err != nil {
			return
		}
		p.note(hello)
		server := p.open(&replayed{Conn: far, data: data})
		defer server.Close()
		if server.HandshakeContext(context.Background()) != nil {
			return
		}
		if _, err := server.Write([]byte{1}); err == nil {
			io.Copy(io.Discard, server)
		}
	}()
	return near, func() { near.Close(); <-done }
}

// visitOK is visit for a connection that must succeed.
func (p *peer) visitOK(t testing.TB, config *tls.Config) tls.ConnectionState {
	t.Helper()
	cs, err := p.visit(t, config)
	if err != nil {
		t.Fatalf("the connection failed: %v", err)
	}
	return cs
}

// offeredIn returns what a ClientHello offers to resume: a PSK identity, a ticket, or nil.
func offeredIn(hello []byte) []byte {
	const sessionTicket, preSharedKey = 35, 41
	var id, suites, compressions, extensions cryptobyte.String
	s := cryptobyte.String(hello)
	if !s.Skip(4+2+32) || !s.ReadUint8LengthPrefixed(&id) || !s.ReadUint16LengthPrefixed(&suites) ||
		!s.ReadUint8LengthPrefixed(&compressions) || !s.ReadUint16LengthPrefixed(&extensions) {
		return nil
	}
	for !extensions.Empty() {
		var kind uint16
		var data, identities, identity cryptobyte.String
		if !extensions.ReadUint16(&kind) || !extensions.ReadUint16LengthPrefixed(&data) {
			return nil
		}
		switch kind {
		case sessionTicket:
			if len(data) > 0 {
				return bytes.Clone(data)
			}
		case preSharedKey:
			if data.ReadUint16LengthPrefixed(&identities) && identities.ReadUint16LengthPrefixed(&identity) {
				return bytes.Clone(identity)
			}
		}
	}
	return nil
}

// clientBase is a client's configuration as an application writes it.
func clientBase(version uint16) *tls.Config {
	return &tls.Config{RootCAs: serverCA.Pool(), ServerName: "a.example", MinVersion: version, MaxVersion: version, KeyLogWriter: testsecrets.KeyLog()}
}

const clientAddr = "a.example:443"

// newClientCache makes a cache for clients whose sessions are recorded for the search for
// secrets.
func newClientCache(t testing.TB, cfg Config) *Cache {
	t.Helper()
	if cfg.Mode == 0 {
		cfg.Mode = ModeClient
	}
	next := cfg.Callbacks.New
	cfg.Callbacks.New = func(ctx context.Context, info ConnInfo, s *Session) bool {
		recordClientSession(s)
		return next == nil || next(ctx, info, s)
	}
	return newCache(t, cfg)
}

func recordClientSession(s *Session) {
	testsecrets.Record(s.ID(), s.field(fieldTicket), clientSecret(s.state))
}

// clientConfig is ClientConfig for a configuration that it must accept.
func clientConfig(t testing.TB, c *Cache, base *tls.Config) *tls.Config {
	t.Helper()
	return must(c.ClientConfig(base, clientAddr))(t)
}

// forClients runs f in both versions.
func forClients(t *testing.T, f func(t *testing.T, version uint16)) {
	for _, version := range versions {
		t.Run(tls.VersionName(version), func(t *testing.T) { f(t, version) })
	}
}

// certificateOf is another client's certificate.
func certificateOf(name string) tls.Certificate {
	return clientCA.Client(name, time.Now().Add(time.Hour))
}

// twin returns an authority with the same name as another, and another key.
func twin(name string) *testca.CA { return testca.Root(name, testca.ECDSA) }
