// Package serve runs "halfshake serve" for a test.
package serve

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testsecrets"
)

// Limits on how long the command may take to start serving, and to exit after SIGTERM.
const (
	startLimit = 20 * time.Second
	stopLimit  = 20 * time.Second
)

// Server is a running command.
type Server struct {
	Listen  string // the TLS address, kept over KillAndStart
	Metrics string // the plain HTTP address of the counters

	binary string
	args   []string

	process *exec.Cmd
	log     log
	ended   chan error // one value: how the process ended
}

// Start runs binary with "serve", loopback addresses, a new state directory, no external store, and args. args may override
// these: "--store", "bolt:" is the command's own default. Start returns when the command serves. When the test ends, the
// command gets SIGTERM and must exit with status 0. If the test fails, the test's log has all that the command logged.
func Start(t testing.TB, binary string, args ...string) *Server {
	t.Helper()
	args = append([]string{"--metrics", "127.0.0.1:0", "--state-dir", stateDir(t)}, args...)
	if !slices.Contains(args, "--store") {
		args = append(args, "--store", "memory:")
	}
	s := &Server{binary: binary, Listen: "127.0.0.1:0", args: args}
	serving := s.start(t)
	t.Cleanup(func() { s.stop(t) })
	s.await(t, serving)
	return s
}

// KillAndStart ends the command with SIGKILL and starts it again, with the same state directory and TLS address.
func (s *Server) KillAndStart(t testing.TB) {
	t.Helper()
	if err := s.process.Process.Kill(); err != nil {
		t.Fatalf("halfshake serve: SIGKILL: %v", err)
	}
	<-s.ended
	s.await(t, s.start(t))
}

// start starts the command. The channel receives the line that says where it serves.
func (s *Server) start(t testing.TB) <-chan string {
	t.Helper()
	process, ended := exec.Command(s.binary, append([]string{"serve", "--listen", s.Listen}, s.args...)...), make(chan error, 1)
	stderr, err := process.StderrPipe()
	if err != nil {
		t.Fatalf("halfshake serve: %v", err)
	}
	if err := process.Start(); err != nil {
		t.Fatalf("halfshake serve: %v", err)
	}
	s.process, s.ended = process, ended
	serving := make(chan string, 1)
	go func() {
		s.log.copy(stderr, serving)
		ended <- process.Wait()
	}()
	return serving
}

// Hits returns the command's counter of resumed handshakes.
func (s *Server) Hits(t testing.TB) int {
	t.Helper()
	web := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := web.Get("http://" + s.Metrics + "/stats.json")
	if err != nil {
		t.Fatalf("counters: %v", err)
	}
	defer response.Body.Close()
	var stats struct {
		Hits *int `json:"hits"`
	}
	if err := json.NewDecoder(io.TeeReader(response.Body, testsecrets.LogWriter())).Decode(&stats); err != nil {
		t.Fatalf("counters: %v", err)
	}
	if stats.Hits == nil {
		t.Fatal("counters: /stats.json has no field hits")
	}
	return *stats.Hits
}

// await waits for the line that says where the command serves.
func (s *Server) await(t testing.TB, serving <-chan string) {
	t.Helper()
	select {
	case line, ok := <-serving:
		if !ok {
			t.Fatal("halfshake serve: ended before it served")
		}
		s.Listen, s.Metrics = field(line, "listen"), field(line, "metrics")
		if s.Listen == "" || s.Metrics == "" {
			t.Fatalf("halfshake serve: no listen or metrics address in %q", line)
		}
	case <-time.After(startLimit):
		t.Fatalf("halfshake serve: no line with msg=serving within %v", startLimit)
	}
}

// stop ends the command and checks how it ended.
func (s *Server) stop(t testing.TB) {
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("halfshake serve: SIGTERM: %v", err)
	}
	select {
	case err := <-s.ended:
		if err != nil {
			t.Errorf("halfshake serve: after SIGTERM: %v, want exit status 0", err)
		}
	case <-time.After(stopLimit):
		t.Errorf("halfshake serve: still running %v after SIGTERM", stopLimit)
		_ = s.process.Process.Kill()
		<-s.ended
	}
	if t.Failed() {
		t.Logf("halfshake serve logged:\n%s", s.log.text())
	}
}

// stateDir makes a directory with a short name. The name that t.TempDir makes is too long for the address of a Unix socket.
func stateDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "halfshake")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// field returns the value of a field in a line of slog's text format, or "" if the line has no such field.
func field(line, name string) string {
	match := regexp.MustCompile(` ` + name + `=("(?:[^"\\]|\\.)*"|\S*)`).FindStringSubmatch(line)
	if match == nil {
		return ""
	}
	if unquoted, err := strconv.Unquote(match[1]); err == nil {
		return unquoted
	}
	return match[1]
}

// log keeps what the command writes to stderr.
type log struct {
	mu    sync.Mutex
	lines strings.Builder
}

// copy keeps all of r, and sends the first line with msg=serving on serving. It closes serving at the end of r.
func (l *log) copy(r io.Reader, serving chan<- string) {
	defer close(serving)
	sent := false
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		l.add(line)
		if !sent && field(line, "msg") == "serving" {
			serving <- line
			sent = true
		}
		if err != nil {
			return
		}
	}
}

func (l *log) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines.WriteString(line)
	_, _ = io.WriteString(testsecrets.LogWriter(), line)
}

func (l *log) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.String()
}
