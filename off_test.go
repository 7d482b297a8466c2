package halfshake

import (
	"context"
	"crypto/tls"
	"io"
	"testing"
	"time"
)

// With the cache off and no Get callback no ticket is sent where the engine can be
// told, decided for each connection.
func TestNoTicketsWhileOff(t *testing.T) {
	forEach(t, []door{viaListener, viaServer, viaIDs, viaServerIDs}, func(t *testing.T, d door, version uint16) {
		c := newCache(t, Config{Mode: ModeOff})
		open := d.open(t, c, serverConfig())
		gets := func(want bool) {
			t.Helper()
			cl := newClient(version)
			connectOK(t, open, cl)
			if got := cl.jar.id() != nil; got != want {
				t.Errorf("mode %v, Get %v: the client got a session: %v", c.Mode(), c.GetCallback() != nil, got)
			}
		}
		gets(false)
		c.SetMode(ModeServer)
		gets(true)
		c.SetMode(c.Mode() &^ ModeServer)
		gets(false)
	})
}

// A client that writes and closes without reading loses nothing. A ticket that it leaves
// unread would have its system reset the connection, and throw away what it had not sent
// yet. With client certificates the ticket comes after the client's first flight.
func TestWriteAndCloseWithoutReading(t *testing.T) {
	const size = 256 << 10 // more than the server's system takes before the server reads
	for _, d := range []door{viaListener, viaServer} {
		c := newCache(t, Config{Mode: ModeOff, Scope: "test"})
		open := d.open(t, c, verifying())
		arrived := 0
		for range 20 {
			near, far := tcpPair(t)
			server := open(far)
			read := make(chan int)
			go func() {
				defer server.Close()
				server.HandshakeContext(context.Background())
				time.Sleep(20 * time.Millisecond)
				data, _ := io.ReadAll(server)
				read <- len(data)
			}()
			conn := tls.Client(near, newClient(tls.VersionTLS13).withCert(clientCert).config())
			if _, err := conn.Write(make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			conn.Close()
			if <-read == size {
				arrived++
			}
		}
		if arrived != 20 {
			t.Errorf("%s: %d of 20 messages arrived", d.name, arrived)
		}
	}
}
