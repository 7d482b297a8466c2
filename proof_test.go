package halfshake

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

type tlsState = tls.ConnectionState

// A ClientHello that was recorded and is played again every few seconds, by someone
// without the secret, keeps no session alive and counts as no hit. Under ServerConfig
// the engine shows no proof: there it counts, and still renews nothing.
func TestReplayRenewsNothing(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		clk := newClock()
		c := newCache(t, Config{Mode: ModeServer | ModeUpdateTime, Timeout: 20 * time.Second, Time: clk.Now})
		open, cl := d.open(t, c, serverConfig()), newClient(version)
		connectOK(t, open, cl)
		cl.jar.frozen = true
		hello := recordedHello(t, open, cl)
		s, _ := c.Session(cl.jar.id())
		hits := c.Stats().Hits
		for range 5 {
			clk.Advance(8 * time.Second)
			send(t, open, hello)
		}
		if got, ok := c.Session(s.ID()); ok && got.Expires() != s.Expires() {
			t.Errorf("the session expires at %v, and after replays at %v", s.Expires(), got.Expires())
		}
		if n := c.Stats().Hits; n != hits && d.name != viaConfig.name {
			t.Errorf("replays count as %d hits", n-hits)
		}
		if connectOK(t, open, cl).resumed {
			t.Error("the session was kept alive")
		}
	})
}

// Proved is false until the client's Finished is verified, and true afterwards
// wherever the engine shows it.
func TestProved(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		for _, cert := range []bool{false, true} {
			var made []*Session
			c := newCache(t, Config{Scope: "test", Callbacks: Callbacks{New: func(_ context.Context, _ ConnInfo, s *Session) bool {
				made = append(made, s)
				return true
			}}})
			config, cl := serverConfig(), newClient(version)
			if cert {
				config, cl = verifying(), cl.withCert(clientCert)
			}
			open := d.open(t, c, config)
			for range 2 {
				connectOK(t, open, cl)
			}
			shown := func(resumed bool) bool { // whether this door shows the proof
				return d.name != viaConfig.name || version == tls.VersionTLS12 || cert && !resumed
			}
			for i, s := range made {
				if s.Proved() != shown(i > 0) {
					t.Errorf("certificate %v, session %d: proved %v", cert, i, s.Proved())
				}
			}
			if decoded := reparse(t, made[0]); decoded.Proved() {
				t.Error("a decoded session is proved")
			}
		}
	})
}

// A client that sends its ClientHello and goes away has proved nothing.
func TestVanishedClientProvesNothing(t *testing.T) {
	for _, version := range versions {
		var made []*Session
		c := newCache(t, Config{Callbacks: Callbacks{New: func(_ context.Context, _ ConnInfo, s *Session) bool {
			made = append(made, s)
			return true
		}}})
		open, cl := viaListener.open(t, c, serverConfig()), newClient(version)
		connectOK(t, open, cl)
		hello := recordedHello(t, open, cl)
		made = nil
		before := c.Stats()
		for _, tail := range [][]byte{nil, {20, 3, 3, 0, 1, 1}, append([]byte{23, 3, 3, 0, 40}, make([]byte, 40)...), noise(200),
			bytes.Repeat([]byte{20, 3, 3, 0, 1, 1}, 20), {21, 3, 3, 0, 2, 2, 40}} {
			send(t, open, append(bytes.Clone(hello), tail...))
		}
		for _, s := range made {
			if s.Proved() {
				t.Errorf("%s: proved by a replay", tls.VersionName(version))
			}
		}
		if after := c.Stats(); after.Hits != before.Hits || after.AcceptGood != before.AcceptGood {
			t.Errorf("%s: replays count as good: %+v", tls.VersionName(version), after)
		}
	}
}

// The records that come in pieces of any size are followed as those in one piece.
func TestRecordReader(t *testing.T) {
	long := append([]byte{22, 3, 3, 1, 5}, make([]byte, 261)...)
	stream := append(long, 22, 3, 1, 0, 3, 1, 2, 3, 20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 2, 9, 9, 22, 3, 3, 0, 0)
	end := len(stream) - recordHeaderSize // of the application data
	for range 200 {
		var r recordReader
		seen := -1
		for at := 0; at < len(stream); {
			n := min(1+rand.IntN(6), len(stream)-at)
			r.feed(stream[at : at+n])
			at += n
			if r.applicationData && seen < 0 {
				seen = at
			}
		}
		if seen < end || seen > end+recordHeaderSize {
			t.Fatalf("the record that ends at %d was seen at %d", end, seen)
		}
	}
}

// Proof under NewListener comes with the first record after the client's Finished,
// whoever speaks first, and effects come with it: the session is protected and
// renewed, and the counters count. None of this asks Config.Time, which must not run
// under the locks of crypto/tls.
func TestListenerSeesTheProof(t *testing.T) {
	for _, version := range versions {
		for _, clientFirst := range []bool{false, true} {
			clk := newClock()
			var inside atomic.Bool // a Read or a Write
			c := newCache(t, Config{Mode: ModeServer | ModeUpdateTime, Time: func() time.Time {
				if inside.Load() {
					t.Error("Config.Time is asked from Read or Write")
				}
				return clk.Now()
			}})
			open, cl := viaListener.open(t, c, serverConfig()), newClient(version)
			connectOK(t, open, cl)
			cl.jar.frozen = true
			clk.Advance(8 * time.Second)
			near, far := socketPair(t)
			server := open(far)
			done := make(chan error, 1)
			go func() {
				defer server.Close()
				if err := server.HandshakeContext(t.Context()); err != nil {
					done <- err
					return
				}
				inside.Store(true)
				defer inside.Store(false)
				if clientFirst {
					io.ReadFull(server, make([]byte, 2))
				} else {
					server.Write([]byte{1, 2}) // as long as an alert
					server.Write([]byte{3, 4})
				}
				done <- nil
			}()
			conn := tls.Client(near, cl.config())
			if err := conn.Handshake(); err != nil || !conn.ConnectionState().DidResume {
				t.Fatalf("resumed %v: %v", conn.ConnectionState().DidResume, err)
			}
			if clientFirst {
				conn.Write([]byte{1})
				time.Sleep(20 * time.Millisecond)
				conn.Write([]byte{2})
			} else {
				io.ReadFull(conn, make([]byte, 4))
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			near.Close()
			s, ok := c.Session(cl.jar.id())
			if !ok || s.Created() != clk.Now() || c.Stats().Hits != 1 || c.Stats().AcceptGood != 2 {
				t.Errorf("%s, client first %v: created %v; %+v", tls.VersionName(version), clientFirst, s, c.Stats())
			}
		}
	}
}

// Handshakes that are never finished push out one another, and not the session of a
// client that finished its handshake and has not come back yet.
func TestUnprovedDisplaceNobody(t *testing.T) {
	const size, flood = 20, 100
	for _, d := range []door{viaListener, viaServer} {
		for _, version := range versions {
			c := newCache(t, Config{Size: size})
			open, cl := d.open(t, c, serverConfig()), newClient(version)
			connectOK(t, open, cl)
			listener, hello := viaListener.open(t, c, serverConfig()), fullHello(t)
			for range flood {
				send(t, listener, hello)
			}
			if n := c.Stats().CacheFull; n < flood-size {
				t.Fatalf("%d evictions: the flood filled nothing", n)
			}
			if !connectOK(t, open, cl).resumed {
				t.Errorf("%s, %s: the session was lost to handshakes that nobody finished", d.name, tls.VersionName(version))
			}
		}
	}
}

// fullHello returns the ClientHello of a TLS 1.3 client that has no session.
func fullHello(t *testing.T) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	go tls.Client(far, newClient(tls.VersionTLS13).config()).Handshake()
	header := make([]byte, 5)
	if _, err := io.ReadFull(near, header); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(header[3])<<8+int(header[4]))
	if _, err := io.ReadFull(near, body); err != nil {
		t.Fatal(err)
	}
	return append(header, body...)
}
