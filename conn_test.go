package halfshake

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"
)

// A pair is a completed connection of Cache.Server, held open.
type pair struct {
	client *tls.Conn
	near   net.Conn
	server *Conn
}

func open(t *testing.T, c *Cache, config *tls.Config, cl *client) pair {
	t.Helper()
	near, far := socketPair(t)
	server := must(c.Server(far, config))(t)
	done := make(chan error, 1)
	go func() {
		err := server.Handshake()
		if err == nil {
			_, err = server.Write([]byte{1})
		}
		done <- err
	}()
	conn := tls.Client(near, cl.config())
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	server.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return pair{conn, near, server}
}

// How a connection ends decides what becomes of its session:
// SSL_CTX_set_session_cache_mode(3) and the rows of libssl on unclean closes and
// alerts.
func TestConnEnds(t *testing.T) {
	ends := []struct {
		name string
		end  func(p pair)
		want Cause // 0: the session stays
	}{
		{"close_notify from the client", func(p pair) { p.client.Close(); p.server.Read(make([]byte, 1)); p.server.Close() }, 0},
		{"close_notify from the server", func(p pair) { p.server.Close(); p.near.Close() }, 0},
		{"client gone after close_notify, unread", func(p pair) { p.client.Close(); p.server.Close() }, 0},
		{"the server writes on after the client's close_notify", func(p pair) {
			p.client.Close()
			io.Copy(io.Discard, p.server)
			p.server.Write([]byte{1})
			p.server.Write([]byte{1})
			p.server.Close()
		}, 0},
		{"CloseWrite, then Close", func(p pair) { p.server.CloseWrite(); p.client.Close(); io.Copy(io.Discard, p.server); p.server.Close() }, 0},
		{"Close twice", func(p pair) { p.server.Close(); p.server.Close(); p.near.Close() }, 0},
		{"a deadline, then Close", func(p pair) {
			p.server.SetReadDeadline(time.Now().Add(-1))
			p.server.Read(make([]byte, 1))
			p.server.Close()
		}, 0},
		{"the client's transport ends", func(p pair) { p.near.Close(); p.server.Read(make([]byte, 1)); p.server.Close() }, CauseUncleanClose},
		{"the server closes its own transport", func(p pair) {
			p.server.transport.Conn.Close()
			p.server.Read(make([]byte, 1))
			p.server.Close()
		}, 0},
		{"a timeout of another kind, then Close", func(p pair) {
			p.server.transport.Conn = timingOut{p.server.transport.Conn}
			p.server.Read(make([]byte, 1))
			p.server.Close()
		}, 0},
		{"a fatal alert from the server", func(p pair) {
			p.near.Write([]byte("\x17\x03\x03\x00\x20" + strings.Repeat("x", 32)))
			p.server.Read(make([]byte, 1))
		}, CauseAlert},
		{"a record of a wrong version", func(p pair) {
			p.near.Write([]byte("\x17\x02\x00\x00\x20" + strings.Repeat("x", 32)))
			p.server.Read(make([]byte, 1))
		}, CauseAlert},
		{"a record that is too long", func(p pair) {
			p.near.Write([]byte("\x17\x03\x03\xff\xff" + strings.Repeat("x", 32)))
			p.server.Read(make([]byte, 1))
		}, CauseAlert},
		{"a fatal alert from the client", func(p pair) {
			go p.client.Read(make([]byte, 1))
			p.server.transport.Conn.Write([]byte("\x17\x03\x03\x00\x20" + strings.Repeat("x", 32)))
			p.server.Read(make([]byte, 1))
		}, CauseAlert},
	}
	for _, e := range ends {
		for _, version := range versions {
			for _, resumed := range []bool{false, true} {
				t.Run(e.name+"/"+tls.VersionName(version), func(t *testing.T) {
					c := newCache(t, Config{UncleanClose: UncleanCloseRemove})
					cl := newClient(version)
					var made *Session
					c.SetNewCallback(func(_ context.Context, _ ConnInfo, s *Session) bool { made = s; return true })
					if resumed {
						connectOK(t, viaServer.open(t, c, serverConfig()), cl)
					}
					got := recordRemovals(c)
					p := open(t, c, serverConfig(), cl)
					if p.client.ConnectionState().DidResume != resumed {
						t.Fatal("resumption did not happen as planned")
					}
					e.end(p)
					p.near.Close()
					p.server.Close()
					var want []removal
					if e.want != 0 {
						want = []removal{{made.Ref(), e.want}} // in TLS 1.3 the last-issued, in TLS 1.2 the one there is
					}
					if !reflect.DeepEqual(*got, want) {
						t.Errorf("resumed %v: removed %v, want %v", resumed, *got, want)
					}
					c.SetRemoveCallback(nil)
				})
			}
		}
	}
}

func TestUncleanCloseKeep(t *testing.T) {
	c := newCache(t, Config{})
	p := open(t, c, serverConfig(), newClient(tls.VersionTLS12))
	p.near.Close()
	p.server.Read(make([]byte, 1))
	p.server.Close()
	if c.Stats().Number != 1 {
		t.Error("the session was removed")
	}
}

// A Close that interrupts a Write sends no close_notify.
func TestCloseDuringWriteIsUnclean(t *testing.T) {
	c := newCache(t, Config{UncleanClose: UncleanCloseRemove})
	p := open(t, c, serverConfig(), newClient(tls.VersionTLS12))
	defer p.near.Close()
	writing := make(chan error)
	go func() {
		for {
			if _, err := p.server.Write(make([]byte, 1<<16)); err != nil {
				writing <- err
				return
			}
		}
	}()
	for was := uint64(0); was != p.server.transport.writes.Load(); time.Sleep(50 * time.Millisecond) {
		was = p.server.transport.writes.Load() // until the transport takes no more
	}
	p.server.Close()
	<-writing
	if c.Stats().Number != 0 {
		t.Error("the session was kept")
	}
}

// In Cache.Server a client that vanishes before its Finished has made no session,
// and New has not been called: a flood of them evicts nothing.
func TestServerStoresOnCompletion(t *testing.T) {
	for _, version := range versions {
		c := newCache(t, Config{})
		c.SetNewCallback(func(context.Context, ConnInfo, *Session) bool { t.Error("New called"); return true })
		near, far := socketPair(t)
		server := must(c.Server(far, serverConfig()))(t)
		done := make(chan error, 1)
		go func() { done <- server.Handshake() }()
		config := newClient(version).config()
		config.VerifyConnection = func(tls.ConnectionState) error { near.Close(); return errors.New("gone") }
		tls.Client(near, config).Handshake()
		if err := <-done; err == nil {
			t.Error("the handshake completed")
		}
		server.Close()
		if st := c.Stats(); st.Number != 0 || st.AcceptGood != 0 || st.Accept != 1 {
			t.Errorf("%s: %+v", tls.VersionName(version), st)
		}
	}
}

// The application's VerifyConnection ends a handshake. The session that was to be
// resumed stays: the client's Finished has not been seen, and whoever saw or
// recorded a ClientHello could remove it. The one that the handshake made goes.
func TestVerifyConnectionDisagrees(t *testing.T) {
	for _, d := range []door{viaListener, viaServer} {
		for _, version := range versions {
			agree := true
			config := serverConfig()
			config.VerifyConnection = func(tls.ConnectionState) error {
				if agree {
					return nil
				}
				return errors.New("no")
			}
			c := newCache(t, Config{})
			open, cl := d.open(t, c, config), newClient(version)
			connectOK(t, open, cl)
			cl.jar.frozen = true
			agree = false
			if o := connect(t, open, cl); o.serverErr == nil {
				t.Fatal("the handshake succeeded")
			}
			if st := c.Stats(); st.Number != 1 || st.AcceptGood != 1 || st.Hits != 0 {
				t.Errorf("%s, %s: %+v", d.name, tls.VersionName(version), st)
			}
			if agree = true; !connectOK(t, open, cl).resumed {
				t.Errorf("%s, %s: the session is gone", d.name, tls.VersionName(version))
			}
		}
	}
}

func TestSessionOf(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	if _, ok := SessionOf(near); ok {
		t.Error("a session of a stranger")
	}
	if _, ok := SessionOf(nil); ok {
		t.Error("a session of nil")
	}
	c := newCache(t, Config{})
	p := open(t, c, serverConfig(), newClient(tls.VersionTLS13))
	defer p.near.Close()
	defer p.server.Close()
	if s, ok := SessionOf(wrapped{p.server}); !ok || s == nil {
		t.Error("no session of a wrapped connection")
	}
	if inner, ok := p.server.NetConn().(interface{ NetConn() net.Conn }); !ok || inner.NetConn() == nil {
		t.Error("the program's own connection cannot be reached")
	}
}

type wrapped struct{ net.Conn }

func (w wrapped) NetConn() net.Conn { return w.Conn }

// A timingOut connection's Read fails with a timeout that is not the os package's.
type timingOut struct{ net.Conn }

func (timingOut) Read([]byte) (int, error) { return 0, tooSlow{} }

type tooSlow struct{}

func (tooSlow) Error() string   { return "too slow" }
func (tooSlow) Timeout() bool   { return true }
func (tooSlow) Temporary() bool { return true }
