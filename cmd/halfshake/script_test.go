package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/internal/testsecrets"
)

// scriptLimit is how long a script waits for anything.
const scriptLimit = 20 * time.Second

type scriptKey struct{}

// script is what the commands of one script share.
type script struct {
	server  *process
	clients map[string]*client // by their options
	cas     map[string]*testca.CA
}

func newScript() *script {
	return &script{clients: map[string]*client{}, cas: map[string]*testca.CA{}}
}

func scriptOf(ts *testscript.TestScript) *script { return ts.Value(scriptKey{}).(*script) }

// exits runs a command that ends by itself.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND…")
	}
	ctx, cancel := context.WithTimeout(context.Background(), scriptLimit)
	defer cancel()
	cmd := command(ctx, ts, args[1:])
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = recorded(ts.Stdout()), recorded(io.MultiWriter(ts.Stderr(), &stderr))
	if got := status(cmd.Run()); got != args[0] {
		ts.Fatalf("exit status %s, want %s; it said:\n%s", got, args[0], stderr.String())
	}
	if args[0] != "0" && !oneLine.MatchString(stderr.String()) {
		ts.Fatalf("not one line that begins with the command's name:\n%s", stderr.String())
	}
}

var oneLine = regexp.MustCompile(`\Ahalfshake: [^\n]+\n\z`)

func command(ctx context.Context, ts *testscript.TestScript, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "STATE_DIRECTORY", "XDG_STATE_HOME", "GOCOVERDIR"} {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return cmd
}

func status(err error) string {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return strconv.Itoa(exit.ExitCode())
	}
	if err != nil {
		return err.Error()
	}
	return "0"
}

// recorded keeps what is written to w for the search for secrets.
func recorded(w io.Writer) io.Writer { return io.MultiWriter(w, testsecrets.LogWriter()) }

// process is a server that a script started.
type process struct {
	cmd   *exec.Cmd
	log   logBuffer
	ended chan struct{}
	err   error // of its end
}

func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: start COMMAND…")
	}
	p := &process{cmd: command(context.Background(), ts, args), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = recorded(&p.log), recorded(&p.log)
	ts.Check(p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	ts.Defer(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		ts.Logf("the server's log:\n%s", p.log.String())
	})
	scriptOf(ts).server = p
	line := p.await(ts, `.*\b(msg=serving|"msg":"serving") .*|.*"msg":"serving".*`)
	ts.Setenv("LISTEN", fieldOf(line, "listen"))
	ts.Setenv("METRICS", "http://"+fieldOf(line, "metrics"))
	ts.Setenv("METRICS_TCP", "tcp://"+fieldOf(line, "metrics"))
	ts.Setenv("URL", strings.TrimSuffix(fieldOf(line, "url"), "/"))
}

// await returns the first match in the log.
func (p *process) await(ts *testscript.TestScript, pattern string) string {
	want, err := regexp.Compile(`(?m)` + pattern)
	ts.Check(err)
	for deadline := time.Now().Add(scriptLimit); ; time.Sleep(5 * time.Millisecond) {
		ended := p.hasEnded()
		if match := want.FindString(p.log.String()); match != "" {
			return match
		}
		if ended || time.Now().After(deadline) {
			ts.Fatalf("nothing in the log matches %q", pattern)
		}
	}
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// fieldOf returns a field of a line of the log, in either format.
func fieldOf(line, name string) string {
	var fields map[string]any
	if json.Unmarshal([]byte(line), &fields) == nil {
		value, _ := fields[name].(string)
		return value
	}
	match := regexp.MustCompile(` ` + name + `=(\S*)`).FindStringSubmatch(line)
	if match == nil {
		return ""
	}
	return strings.Trim(match[1], `"`)
}

func logged(ts *testscript.TestScript, neg bool, args []string) {
	p := scriptOf(ts).server
	if len(args) != 1 || p == nil {
		ts.Fatalf("usage: start …; [!] log REGEXP")
	}
	if !neg {
		p.await(ts, args[0])
		return
	}
	if match := regexp.MustCompile(`(?m)` + args[0]).FindString(p.log.String()); match != "" {
		ts.Fatalf("the log has %q", match)
	}
}

func signalServer(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}
	p := scriptOf(ts).server
	if neg || len(args) != 1 || signals[args[0]] == nil || p == nil {
		ts.Fatalf("usage: start …; signal HUP|INT|TERM|KILL")
	}
	ts.Check(p.cmd.Process.Signal(signals[args[0]]))
}

func ends(ts *testscript.TestScript, neg bool, args []string) {
	p := scriptOf(ts).server
	if neg || len(args) != 1 || p == nil {
		ts.Fatalf("usage: start …; ends STATUS")
	}
	select {
	case <-p.ended:
	case <-time.After(scriptLimit):
		ts.Fatalf("the server still runs")
	}
	if got := status(p.err); got != args[0] {
		ts.Fatalf("exit status %s, want %s", got, args[0])
	}
}

// logBuffer is a buffer that is read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
