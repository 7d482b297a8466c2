package main

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testsecrets"
)

// A served is a "halfshake serve" in a process of its own, which can be killed.
type served struct {
	addr string
	log  *logBuffer
	cmd  *exec.Cmd
	done chan struct{}
}

// serveProcess starts the command and waits until it serves.
func serveProcess(t *testing.T, args ...string) *served {
	t.Helper()
	// testscript.Main has put this test binary on PATH under the command's name.
	return startProcess(t, "halfshake", append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
}

// startProcess is serveProcess for a program that becomes the command.
func startProcess(t *testing.T, program string, args ...string) *served {
	t.Helper()
	s := &served{log: &logBuffer{}, done: make(chan struct{})}
	s.cmd = exec.Command(program, args...)
	s.cmd.Stderr = recorded(s.log)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.done)
		_ = s.cmd.Wait()
	}()
	t.Cleanup(s.kill)
	s.addr = s.await(t, `msg=serving listen=(\S+) `)
	return s
}

// await returns what the log says at the expression's group.
func (s *served) await(t *testing.T, expression string) string {
	t.Helper()
	want := regexp.MustCompile(expression)
	for deadline := time.Now().Add(scriptLimit); ; time.Sleep(5 * time.Millisecond) {
		if match := want.FindStringSubmatch(s.log.String()); match != nil {
			return match[1]
		}
		select {
		case <-s.done:
			t.Fatalf("the server ended:\n%s", s.log)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server does not say %s:\n%s", expression, s.log)
		}
	}
}

// kill ends the process at once, and waits until it has.
func (s *served) kill() {
	_ = s.cmd.Process.Signal(syscall.SIGKILL)
	<-s.done
}

// terminate ends it with SIGTERM.
func (s *served) terminate(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.expectEnd(t)
}

// expectEnd waits until the server has ended by itself.
func (s *served) expectEnd(t *testing.T) {
	t.Helper()
	select {
	case <-s.done:
	case <-time.After(scriptLimit):
		t.Fatal("the server does not end")
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the server exits with %d:\n%s", code, s.log)
	}
}

// newJar is a client's configuration with a session cache of its own.
func newJar(version uint16) *tls.Config {
	return &tls.Config{
		MinVersion: version, MaxVersion: version, InsecureSkipVerify: true, ServerName: "localhost",
		ClientSessionCache: recordingCache{tls.NewLRUClientSessionCache(1)}, KeyLogWriter: testsecrets.KeyLog(),
	}
}

// visit makes a connection with one request, and reports whether it resumed.
func visit(addr string, config *tls.Config) (resumed bool, err error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: scriptLimit}, "tcp", addr, config)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(scriptLimit))
	if _, err := io.WriteString(conn, "GET /connection.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		return false, err
	}
	answer, err := io.ReadAll(conn)
	if err == nil && !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
		err = io.ErrUnexpectedEOF
	}
	return conn.ConnectionState().DidResume, err
}

// soak returns n, or what the environment variable says.
func soak(name string, n int) int {
	if os.Getenv(name) == "" {
		return n
	}
	many := 0
	for _, digit := range os.Getenv(name) {
		many = 10*many + int(digit-'0')
	}
	return many
}
