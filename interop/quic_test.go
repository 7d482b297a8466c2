package interop

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"testing"

	"github.com/quic-go/quic-go"

	"github.com/halfshake/halfshake"
)

const quicProtocol = "halfshake-interop"

// TestQUIC has a quic-go client resume with a quic-go server that is configured by ServerConfig. A server that allows 0-RTT
// accepts its client's early data, because the session was taken from the Cache for it.
func TestQUIC(t *testing.T) {
	for _, test := range []struct {
		name   string
		server *quic.Config
		dial   dialQUIC
		early  int // number of connections whose early data the server accepts
	}{
		{"1-RTT", &quic.Config{}, quic.DialAddr, 0},
		{"0-RTT", &quic.Config{Allow0RTT: true}, quic.DialAddrEarly, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachKind(t, []uint16{tls.VersionTLS13}, func(t *testing.T, e *endpoints) {
				e.server.NextProtos = []string{quicProtocol}
				e.client.NextProtos = []string{quicProtocol}
				sessions := &notifyingCache{e.client.ClientSessionCache, make(chan struct{}, 16)}
				e.client.ClientSessionCache = sessions
				client := &quicClient{config: e.client, dial: test.dial, sessions: sessions}
				addr := serveQUIC(t, e, test.server)
				e.check(t, func() tls.ConnectionState { return client.connect(t, addr) })
				if client.early != test.early {
					t.Errorf("early data was taken %d times, want %d", client.early, test.early)
				}
			})
		})
	}
}

// TestQUICClient has a quic-go client resume through ClientConfig, with early data too: each session is offered once.
func TestQUICClient(t *testing.T) {
	for name, early := range map[string]bool{"1-RTT": false, "0-RTT": true} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoints(t, tls.VersionTLS13)
			e.server.NextProtos, e.client.NextProtos = []string{quicProtocol}, []string{quicProtocol}
			e.client.ClientSessionCache = nil
			addr := serveQUIC(t, e, &quic.Config{Allow0RTT: early})
			clients, err := halfshake.New(halfshake.Config{Mode: halfshake.ModeClient, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			defer clients.Close()
			config, err := clients.ClientConfig(e.client, addr.String())
			if err != nil {
				t.Fatal(err)
			}
			sessions := &notifyingCache{config.ClientSessionCache, make(chan struct{}, 16)}
			config.ClientSessionCache = sessions
			client := &quicClient{config: config, dial: quic.DialAddrEarly, sessions: sessions}
			for i := range 4 {
				if resumed := client.connect(t, addr).DidResume; resumed != (i > 0) {
					t.Errorf("connection %d: resumed is %t", i+1, resumed)
				}
			}
			if want := map[bool]int{true: 3}[early]; client.early != want {
				t.Errorf("early data was taken %d times, want %d", client.early, want)
			}
			if st := clients.Stats(); st.Hits != 3 || st.Connect != 4 || st.ConnectGood != 4 {
				t.Errorf("counters: %+v", st)
			}
		})
	}
}

type dialQUIC func(context.Context, string, *tls.Config, *quic.Config) (*quic.Conn, error)

type quicClient struct {
	config   *tls.Config
	dial     dialQUIC
	sessions *notifyingCache
	early    int
}

// connect has the server echo a message, waits for a session, and returns the connection's state.
func (c *quicClient) connect(t *testing.T, addr net.Addr) tls.ConnectionState {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), libraryLimit)
	defer cancel()
	conn, err := c.dial(ctx, addr.String(), c.config, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseWithError(0, "") }()
	if err := askEcho(ctx, conn); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.sessions.put:
	case <-ctx.Done():
		t.Fatal("the server gave the client no session")
	}
	state := conn.ConnectionState()
	if state.Used0RTT {
		c.early++
	}
	return state.TLS
}

// askEcho sends a message and expects it back.
func askEcho(ctx context.Context, conn *quic.Conn) error {
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	const message = "halfshake"
	if _, err := io.WriteString(stream, message); err != nil {
		return err
	}
	if err := stream.Close(); err != nil {
		return err
	}
	echo, err := io.ReadAll(stream)
	if err == nil && string(echo) != message {
		err = fmt.Errorf("the echo is %q", echo)
	}
	return err
}

// serveQUIC runs a server that echoes each stream until the test ends.
func serveQUIC(t *testing.T, e *endpoints, config *quic.Config) net.Addr {
	t.Helper()
	listener, err := quic.ListenAddr("127.0.0.1:0", e.serverConfig(t), config)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept(context.Background())
			if err != nil {
				return
			}
			go echoStreams(conn)
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
	})
	return listener.Addr()
}

func echoStreams(conn *quic.Conn) {
	for {
		stream, err := conn.AcceptStream(context.Background())
		if err != nil {
			return
		}
		_, _ = io.Copy(stream, stream)
		_ = stream.Close()
	}
}

// notifyingCache signals when it gets a session.
type notifyingCache struct {
	tls.ClientSessionCache
	put chan struct{}
}

func (c *notifyingCache) Put(key string, session *tls.ClientSessionState) {
	c.ClientSessionCache.Put(key, session)
	if session != nil {
		c.put <- struct{}{}
	}
}
