package halfshake

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"
)

// A tap records what is written to a connection.
type tap struct {
	net.Conn
	to *bytes.Buffer
}

func (t tap) Write(b []byte) (int, error) {
	t.to.Write(b)
	return t.Conn.Write(b)
}

// recordedHello is the ClientHello with which cl resumed, as an observer has it.
func recordedHello(t *testing.T, open opener, cl *client) []byte {
	t.Helper()
	near, far := socketPair(t)
	server := open(far)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer server.Close()
		server.HandshakeContext(context.Background())
		server.Write([]byte{1})
		io.Copy(io.Discard, server)
	}()
	var sent bytes.Buffer
	conn, _ := clientConn(t, tap{near, &sent}, cl.config(), resumesByID(server))
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil || !conn.ConnectionState().DidResume {
		t.Fatalf("not resumed, or %v", err)
	}
	conn.Close()
	near.Close()
	<-done
	raw := sent.Bytes()
	return raw[:5+int(raw[3])<<8+int(raw[4])]
}

// A ClientHello that was recorded has a good binder too. Played again and again,
// it must not fill the proved part of the internal cache: the sessions in use
// stay. In Cache.Server it stores nothing at all.
func TestReplayedHelloEvictsNoSessionInUse(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		c := newCache(t, Config{Size: 100})
		open := d.open(t, c, serverConfig())
		regulars := make([]*client, 10)
		for i := range regulars {
			regulars[i] = newClient(version)
			connectOK(t, open, regulars[i])
			connectOK(t, open, regulars[i])
		}
		victim := newClient(version)
		connectOK(t, open, victim)
		hello := recordedHello(t, open, victim)
		before := c.Stats().Number
		for range 300 {
			send(t, open, hello)
		}
		for i, cl := range regulars {
			if !connectOK(t, open, cl).resumed {
				t.Errorf("the session of client %d, in use, is gone", i)
			}
		}
		if st := c.Stats(); d.name == viaServer.name && (st.CacheFull != 0 || version == tls.VersionTLS12 && st.Number != before) {
			t.Errorf("replays stored sessions: %+v", st)
		}
	})
}

// A session vouches for one child, so that a client which resumes one session
// over and over holds no more of the proved part than one which does not.
func TestOneSessionVouchesOnce(t *testing.T) {
	for _, d := range []door{viaConfig, viaListener} {
		c := newCache(t, Config{Size: 50})
		open, cl, other := d.open(t, c, serverConfig()), newClient(tls.VersionTLS13), newClient(tls.VersionTLS13)
		for range 2 {
			connectOK(t, open, cl)
			connectOK(t, open, other)
		}
		cl.jar.frozen = true
		for range 100 {
			connectOK(t, open, cl)
		}
		if !connectOK(t, open, other).resumed {
			t.Errorf("%s: one client's resumptions pushed out another's session", d.name)
		}
	}
}
