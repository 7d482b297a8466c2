package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/halfshake/halfshake/internal/testpeer"
	"github.com/halfshake/halfshake/internal/testsecrets"
)

// newRedis starts a redis-server for the test and returns its address.
func newRedis(t *testing.T) string {
	t.Helper()
	binary := testpeer.Need(t, "redis-server")
	address := deadAddress(t)
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.Command(binary, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	cmd.Stdout = testsecrets.LogWriter()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(t, limit, "redis-server listens", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return address
}

// TestRedis uses a real server through TLS: single commands, many commands in one write, a
// large value, and QUIT, after which the server closes first.
func TestRedis(t *testing.T) {
	address := newRedis(t)
	for _, w := range tcpWays {
		t.Run(w.name, func(t *testing.T) {
			conn := newGate(t, w, address, TCPOptions{}).dial(t)
			r := bufio.NewReader(conn)
			value := strings.Repeat("v", 300_000)
			mustReply(t, conn, r, "PING\r\n", "+PONG\r\n")
			mustReply(t, conn, r, fmt.Sprintf("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s\r\n", len(value), value), "+OK\r\n")
			mustReply(t, conn, r, "GET k\r\n", fmt.Sprintf("$%d\r\n%s\r\n", len(value), value))
			mustReply(t, conn, r, "DEL n\r\n"+strings.Repeat("INCR n\r\n", 100)+"GET n\r\n", "$3\r\n100\r\n")
			mustReply(t, conn, r, "QUIT\r\n", "+OK\r\n")
			if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
				t.Errorf("after QUIT: %q, %v", rest, err)
			}
		})
	}
}

// mustReply sends a command and reads until it gets want, skipping integers.
func mustReply(t *testing.T, w io.Writer, r *bufio.Reader, sent, want string) {
	t.Helper()
	go func() { _, _ = io.WriteString(w, sent) }()
	for {
		if first, err := r.Peek(1); err != nil {
			t.Fatal(err)
		} else if first[0] != ':' {
			break
		}
		_, _ = r.ReadString('\n')
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Fatalf("%.40q, %v; want %.40q", got, err, want)
	}
}
