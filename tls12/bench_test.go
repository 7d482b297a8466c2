//go:debug cryptocustomrand=1

package tls12

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"
)

// BenchmarkServerResume is what a resumed handshake costs a server, alone: the
// client's side was recorded once and is played back. That needs randomness that
// does not change, for crypto/tls too, whence the directive above.
func BenchmarkServerResume(b *testing.B) {
	server, client := serverConfig(b), clientConfig(b)
	server.KeyLogWriter = nil
	server.Rand, client.Rand = constant{}, constant{}
	now := time.Now()
	server.Time = func() time.Time { return now }
	server.CurvePreferences, client.CurvePreferences = []tls.CurveID{tls.X25519}, []tls.CurveID{tls.X25519}
	b.Run("session-id", func(b *testing.B) {
		sessions := &mapSessions{}
		made := establish(b, client, server, sessions)
		script, _ := recordHandshakeBytes(b, client, server, sessions, made)
		replayTo(b, script, func(conn net.Conn) engine { return newServer(b, conn, server, sessions) })
	})
	b.Run("crypto-tls-1.2-ticket", func(b *testing.B) { benchmarkTickets(b, client, server, tls.VersionTLS12) })
	b.Run("crypto-tls-1.3", func(b *testing.B) { benchmarkTickets(b, client, server, tls.VersionTLS13) })
}

func benchmarkTickets(b *testing.B, client, server *tls.Config, version uint16) {
	client, server = client.Clone(), server.Clone()
	client.MaxVersion, server.MaxVersion = version, version
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	recordTicketClient(b, client, server)
	script := recordTicketClient(b, client, server)
	replayTo(b, script, func(conn net.Conn) engine { return tls.Server(conn, server) })
}

// recordTicketClient runs crypto/tls on both sides and returns what the client
// wrote.
func recordTicketClient(b *testing.B, client, server *tls.Config) []byte {
	clientConn, serverConn := tcpPair(b)
	recorded := &recordingConn{Conn: clientConn}
	c, s := tls.Client(recorded, client), tls.Server(serverConn, server)
	if clientErr, serverErr := handshakes(c, s); clientErr != nil || serverErr != nil {
		b.Fatal(clientErr, serverErr)
	}
	exchange(b, c, s, []byte("text"))
	return recorded.wrote
}

func replayTo(b *testing.B, script []byte, newServer func(net.Conn) engine) {
	b.ReportAllocs()
	for b.Loop() {
		s := newServer(&scriptedConn{script: script, step: len(script)})
		if err := s.Handshake(); err != nil {
			b.Fatal(err)
		}
		if !s.ConnectionState().DidResume {
			b.Fatal("it did not resume")
		}
	}
}

// BenchmarkTransfer sends one way over loopback.
func BenchmarkTransfer(b *testing.B) {
	server, client := serverConfig(b), clientConfig(b)
	server.KeyLogWriter = nil
	for name, pair := range map[string]func(c, s net.Conn) (engine, engine){
		"tls12": func(c, s net.Conn) (engine, engine) {
			return newClient(b, c, client, nil), newServer(b, s, server, nil)
		},
		"crypto-tls": func(c, s net.Conn) (engine, engine) { return tls.Client(c, client), tls.Server(s, server) },
	} {
		b.Run(name, func(b *testing.B) {
			clientConn, serverConn := tcpPair(b)
			clientConn.SetDeadline(time.Time{})
			serverConn.SetDeadline(time.Time{})
			c, s := pair(clientConn, serverConn)
			done := make(chan error, 1)
			go func() { _, err := io.Copy(io.Discard, struct{ io.Reader }{s}); done <- err }()
			text := make([]byte, 1<<20)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(text); err != nil {
					b.Fatal(err)
				}
			}
			c.Close()
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		})
	}
}
