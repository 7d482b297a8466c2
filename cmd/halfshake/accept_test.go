package main

import (
	"bufio"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"runtime"
	"testing"
	"time"
)

// TestDescriptorShortage: when file descriptors run out, the log has one warning in
// every mode, and the server goes on once there are some again.
func TestDescriptorShortage(t *testing.T) {
	cert, key := certificateFiles(t)
	for _, to := range []string{"", "http://127.0.0.1:1", "tcp://127.0.0.1:1"} {
		t.Run("to "+to, func(t *testing.T) {
			t.Parallel()
			args := []string{"-c", `ulimit -n 40 && exec halfshake "$@"`, "sh", "serve", "--listen", "127.0.0.1:0", "--store", "memory:", "--cert", cert, "--key", key}
			if to != "" {
				args = append(args, "--to", to)
			}
			s := startProcess(t, "sh", args...)
			var conns []net.Conn
			for range 60 {
				conn := dial(t, s.addr)
				_, _ = conn.Write([]byte{22}) // a client that says nothing stays in the kernel
				conns = append(conns, conn)
			}
			s.await(t, `level=WARN (msg="new connections are waiting for file descriptors; raise the limit.*" listen=127.0.0.1:\d+ error=.*too many open files)`)
			for _, conn := range conns {
				_ = conn.Close()
			}
			conn, err := tls.DialWithDialer(&net.Dialer{Timeout: scriptLimit}, "tcp", s.addr, newJar(tls.VersionTLS13))
			if err != nil {
				t.Fatalf("a good client: %v", err)
			}
			_ = conn.Close()
		})
	}
}

// TestSilentClientIsNotAccepted: a connection waits in the kernel until its client
// says something.
func TestSilentClientIsNotAccepted(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("TCP_DEFER_ACCEPT is Linux's")
	}
	sockets, err := bindAll(&serveFlags{Listen: "127.0.0.1:0"}, slog.New(slog.DiscardHandler), 10)
	if err != nil {
		t.Fatal(err)
	}
	defer sockets.close()
	client := dial(t, sockets.tls.Addr().String())
	accepted := make(chan net.Conn)
	go func() {
		conn, _ := sockets.tls.Accept()
		accepted <- conn
	}()
	select {
	case <-accepted:
		t.Fatal("a silent client was accepted at once")
	case <-time.After(500 * time.Millisecond):
	}
	if _, err := client.Write([]byte{22}); err != nil {
		t.Fatal(err)
	}
	select {
	case conn := <-accepted:
		_ = conn.Close()
	case <-time.After(deferLimit):
		t.Error("a client that spoke was not accepted")
	}
}

// deferLimit is less than the time after which the kernel hands over a silent client.
const deferLimit = 4 * time.Second

// TestServerSpeaksFirst: a protocol whose server greets works behind tcp://, since
// over TLS the client speaks first nevertheless.
func TestServerSpeaksFirst(t *testing.T) {
	backend, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	go func() {
		conn, err := backend.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "220 mail.example ESMTP\r\n")
		_, _ = io.Copy(io.Discard, conn)
	}()
	r := startServer(t, quick, to(t, "tcp://"+backend.Addr().String()))
	conn := r.handshaken(t)
	_ = conn.SetDeadline(time.Now().Add(scriptLimit))
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "220 mail.example ESMTP\r\n" {
		t.Errorf("the greeting is %q, %v", line, err)
	}
	_ = conn.Close()
}
