package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// compareSTime has OpenSSL's client resume by session id, in TLS 1.2, as fast as it
// can: against OpenSSL's own server, nginx, and "halfshake serve". A peer that is
// not installed is left out, with a sentence.
func compareSTime(dir string, e extent) (err error) {
	if _, err := exec.LookPath("openssl"); err != nil {
		fmt.Println("\nno openssl on PATH (Debian package openssl): no comparison by openssl s_time")
		return nil
	}
	var names []string
	var servers []*program
	defer func() {
		for _, s := range servers {
			err = errors.Join(err, s.stop())
		}
	}()
	for _, p := range []struct {
		name, binary string
		start        func(dir string) (*program, error)
	}{
		{"openssl s_server", "openssl", startSServer},
		{"nginx", "nginx", startNginx},
		{"halfshake serve", "go", startHalfshake},
	} {
		if _, err := exec.LookPath(p.binary); err != nil {
			fmt.Printf("\nno %s on PATH (Debian package %[1]s): %s is left out\n", p.binary, p.name)
			continue
		}
		s, err := p.start(dir)
		if s != nil {
			names, servers = append(names, p.name), append(servers, s)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	for _, load := range []struct {
		clients int
		title   string
	}{{1, "one client"}, {4, "four clients (s_server serves one at a time)"}} {
		results, err := rate(max(e.runs/4, 1), len(servers), func(i int) (rate, perOp float64, err error) {
			return sTime(servers[i], load.clients)
		})
		if err != nil {
			return err
		}
		reportRates("openssl s_time -reuse -tls1_2, by session id, "+load.title, "connections/s", "connection", names, results)
	}
	return nil
}

const (
	// sTimeSeconds is the shortest run that s_time makes.
	sTimeSeconds = 1
	// sTimeSuite is one that all servers have; left to themselves they differ.
	sTimeSuite = "ECDHE-ECDSA-AES128-GCM-SHA256"
)

// marks is what s_time prints: an r for each connection that was reused, and a * for
// each that was not.
var marks = regexp.MustCompile(`(?m)^[r*]+$`)

// sTime has so many clients at once, and returns how many connections were made in a
// second, and the server's CPU time for each, in nanoseconds.
func sTime(s *program, clients int) (rate, perOp float64, err error) {
	before, err := s.cpu()
	if err != nil {
		return 0, 0, err
	}
	var running sync.WaitGroup
	made, errs := make([]int, clients), make([]error, clients)
	begun := time.Now()
	for i := range clients {
		running.Go(func() { made[i], errs[i] = sTimeClient(s.addr) })
	}
	running.Wait()
	took := time.Since(begun)
	if err := errors.Join(errs...); err != nil {
		return 0, 0, err
	}
	after, err := s.cpu()
	n := 0.0
	for _, m := range made {
		n += float64(m)
	}
	return n / took.Seconds(), float64(after-before) / n, err
}

// sTimeClient returns how many connections one client made.
func sTimeClient(addr string) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "openssl", "s_time", "-connect", addr, "-cipher", sTimeSuite, "-reuse", "-tls1_2", "-time", strconv.Itoa(sTimeSeconds)).Output()
	if err != nil {
		return 0, fmt.Errorf("openssl s_time: %w: %s", err, out)
	}
	line := marks.Find(out)
	if bytes.Contains(line, []byte("*")) || len(line) == 0 {
		return 0, errNotResumed
	}
	return len(line), nil
}

// A program is a server that is not ours to ask what it spends.
type program struct {
	addr  string
	cmd   *exec.Cmd
	pids  []int         // what spends its CPU time
	ended chan struct{} // closed when it has ended by itself
}

// startProgram starts a server at a free address, and waits until it answers. args
// returns its arguments.
func startProgram(binary string, args func(addr string) []string) (*program, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, args(addr)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.Discard, &said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &program{addr, cmd, []int{cmd.Process.Pid}, make(chan struct{})}
	go func() {
		defer close(s.ended)
		_ = cmd.Wait() // s_server ends with an error, for it has no other way
	}()
	return s, s.await(10*time.Second, func() bool {
		conn, err := net.Dial("tcp", addr)
		return err == nil && conn.Close() == nil
	}, &said)
}

// await polls until the server is ready.
func (s *program) await(limit time.Duration, ready func() bool, said fmt.Stringer) error {
	for begun := time.Now(); !ready(); {
		select {
		case <-s.ended:
			return fmt.Errorf("it ended: %s", said)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Since(begun) > limit {
			return fmt.Errorf("it is not ready after %v", limit)
		}
	}
	return nil
}

func startSServer(dir string) (*program, error) {
	return startProgram("openssl", func(addr string) []string {
		return []string{"s_server", "-accept", addr, "-cert", serverFile(dir), "-key", serverFile(dir), "-no_ticket", "-www", "-quiet"}
	})
}

// startHalfshake builds the command of this tree.
func startHalfshake(dir string) (*program, error) {
	binary := filepath.Join(dir, "halfshake")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = filepath.Join("..", "cmd", "halfshake")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w: %s", err, out)
	}
	return startProgram(binary, func(addr string) []string {
		return []string{
			"serve", "--listen", addr, "--session-ids", "always", "--store", "memory:",
			"--state-dir", dir, "--cert", serverFile(dir), "--key", serverFile(dir),
		}
	})
}

// startNginx starts one with a single worker, whose files are all in dir.
func startNginx(dir string) (*program, error) {
	file := filepath.Join(dir, "nginx.conf")
	s, err := startProgram("nginx", func(addr string) []string {
		config := strings.NewReplacer("DIR", dir, "ADDR", addr, "CERT", serverFile(dir)).Replace(nginxConfig)
		_ = os.WriteFile(file, []byte(config), 0o600) // nginx says so if it is not there
		return []string{"-c", file, "-e", "stderr"}
	})
	if err != nil || !hasProc {
		return s, err
	}
	// The master listens before its worker is there.
	return s, s.await(10*time.Second, func() bool {
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", s.cmd.Process.Pid))
		var worker int
		if n, _ := fmt.Sscan(string(children), &worker); n == 0 {
			return false
		}
		s.pids = append(s.pids, worker)
		return true
	}, &bytes.Buffer{})
}

const nginxConfig = `daemon off;
worker_processes 1;
pid DIR/nginx.pid;
events { worker_connections 512; }
http {
	access_log off;
	client_body_temp_path DIR/nginx-body;
	proxy_temp_path DIR/nginx-proxy;
	fastcgi_temp_path DIR/nginx-fastcgi;
	uwsgi_temp_path DIR/nginx-uwsgi;
	scgi_temp_path DIR/nginx-scgi;
	server {
		listen ADDR ssl;
		ssl_certificate CERT;
		ssl_certificate_key CERT;
		ssl_protocols TLSv1.2;
		ssl_session_tickets off;
		ssl_session_cache shared:bench:10m;
	}
}
`

// hasProc tells whether the system says what a process has spent.
var hasProc = func() bool {
	_, err := os.Stat("/proc/self/stat")
	return err == nil
}()

// cpu returns the CPU time that the server has spent, in nanoseconds; 0 where the
// system does not say it.
func (s *program) cpu() (ns int64, err error) {
	if !hasProc {
		return 0, nil
	}
	for _, pid := range s.pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		// proc_pid_stat(5): behind the name, in parentheses, fields 14 and 15 are the
		// user's and the system's time, in hundredths of a second.
		_, rest, _ := bytes.Cut(stat, []byte(") "))
		fields := strings.Fields(string(rest))
		if len(fields) < 13 {
			return 0, fmt.Errorf("/proc/%d/stat: %q", pid, stat)
		}
		for _, f := range fields[11:13] {
			ticks, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				return 0, err
			}
			ns += ticks * int64(10*time.Millisecond)
		}
	}
	return ns, nil
}

func (s *program) stop() error {
	err := s.cmd.Process.Signal(syscall.SIGTERM)
	<-s.ended
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}
