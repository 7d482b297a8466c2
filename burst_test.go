package halfshake

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testsecrets"
)

// After a restart every client reconnects at once: none of them is closed unserved,
// however long they all have to wait. The clients have a process of their own, because
// many systems do not give both ends of so many connections to one.
func TestBurst(t *testing.T) {
	n, addr := 3_000, os.Getenv("HALFSHAKE_BURST")
	if os.Getenv("HALFSHAKE_SOAK") != "" {
		n = 10_000
	}
	if addr != "" {
		burst(t, addr, n)
		return
	}
	c := newCache(t, Config{SessionIDs: SessionIDsTicketless})
	l := idListener(t, c, serverConfig())
	go accepting(l, new(atomic.Int64))
	begun := time.Now()
	clients := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBurst$")
	clients.Env = append(os.Environ(), "HALFSHAKE_BURST="+l.Addr().String())
	if out, err := clients.CombinedOutput(); err != nil {
		t.Errorf("the clients: %v\n%s", err, out)
	}
	if st := c.Stats(); st.ClosedSilent != 0 {
		t.Errorf("%d connections closed", st.ClosedSilent)
	}
	t.Logf("%d clients at once were served in %v", n, time.Since(begun).Round(time.Millisecond))
}

// burst has n clients connect at once, half of them in TLS 1.2 and without tickets.
// They send what a client sends first, and compute nothing: it is the server that is
// to be busy.
func burst(t *testing.T, addr string, n int) {
	hellos := [][]byte{
		firstFlight(t, &tls.Config{MaxVersion: tls.VersionTLS12, SessionTicketsDisabled: true}),
		firstFlight(t, &tls.Config{}),
	}
	var failed sync.Map
	var clients sync.WaitGroup
	for i := range n {
		clients.Go(func() {
			if err := answered(addr, hellos[i%2]); err != nil {
				failed.Store(i, err)
			}
		})
	}
	clients.Wait()
	lost := 0
	for i, err := range failed.Range {
		if lost++; lost == 1 {
			t.Errorf("client %d: %v", i, err)
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d clients were not served", lost, n)
	}
}

// answered makes a connection, sends hello from far away, and waits for the
// server to go on with the handshake.
func answered(addr string, hello []byte) error {
	conn, err := net.DialTimeout("tcp", addr, time.Minute)
	if err != nil {
		return err
	}
	defer conn.Close()
	time.Sleep(300 * time.Millisecond)
	conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := conn.Write(hello); err != nil {
		return err
	}
	const handshake = 22 // the type of a record
	first, err := bufio.NewReader(conn).ReadByte()
	if err == nil && first != handshake {
		err = fmt.Errorf("a record of type %d", first)
	}
	return err
}

// firstFlight is what a client of that configuration sends first.
func firstFlight(t *testing.T, config *tls.Config) []byte {
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		defer far.Close()
		config.ServerName, config.KeyLogWriter = "a.example", testsecrets.KeyLog()
		tls.Client(far, config).Handshake()
	}()
	record := make([]byte, 1<<14)
	return record[:must(near.Read(record))(t)]
}
