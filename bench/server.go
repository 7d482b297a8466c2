package main

import (
	"bufio"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/halfshake/halfshake"
)

// childArg makes this program one server: bench child KIND DIR.
const childArg = "child"

// kinds are the servers that are compared; the first is the peer.
var kinds = []string{"crypto/tls ticket", "ServerConfig", "NewListener", "Server"}

// listen returns a listener of the given kind whose connections are TLS servers.
func listen(kind string, config *tls.Config) (net.Listener, error) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	if kind == kinds[0] {
		return tls.NewListener(inner, config), nil
	}
	cache, err := halfshake.New(halfshake.Config{Scope: "bench"})
	if err != nil {
		return nil, err
	}
	switch kind {
	case "ServerConfig":
		hooked, err := cache.ServerConfig(config)
		return tls.NewListener(inner, hooked), err
	case "NewListener":
		return cache.NewListener(inner, config)
	case "Server":
		return serverListener{inner, cache, config}, nil
	}
	return nil, fmt.Errorf("no kind %q of server", kind)
}

type serverListener struct {
	net.Listener
	cache  *halfshake.Cache
	config *tls.Config
}

func (l serverListener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.cache.Server(raw, l.config)
}

// serveChild serves until its standard input ends. It prints its address, and
// then, for each line of input, the CPU time in nanoseconds that it has spent.
func serveChild(kind, dir string) error {
	config, err := serverConfig(dir)
	if err != nil {
		return err
	}
	l, err := listen(kind, config)
	if err != nil {
		return err
	}
	go serve(l)
	fmt.Println(l.Addr())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(cpuTime())
	}
	return l.Close()
}

func cpuTime() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// serve answers each connection with one byte.
func serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			if _, err := conn.Write([]byte{1}); err == nil {
				io.Copy(io.Discard, conn)
			}
		}()
	}
}

// serverConfig reads what writeCertificates wrote. A server with a client CA asks
// for a certificate whoever sends one.
func serverConfig(dir string) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(dir+"/server.pem", dir+"/server.pem")
	if err != nil {
		return nil, err
	}
	roots, err := pool(dir + "/client-ca.pem")
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: roots}, nil
}

// A child is a server in a process of its own.
type child struct {
	kind, addr string
	cmd        *exec.Cmd
	in         io.WriteCloser
	out        *bufio.Reader
}

func start(kind, dir string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{kind: kind, cmd: exec.Command(self, childArg, kind, dir)}
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.in, c.out = in, bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	c.addr, err = c.line()
	return c, err
}

func (c *child) line() (string, error) {
	s, err := c.out.ReadString('\n')
	return strings.TrimSpace(s), err
}

// cpu returns the CPU time that the child has spent so far, in nanoseconds.
func (c *child) cpu() (int64, error) {
	if _, err := io.WriteString(c.in, "\n"); err != nil {
		return 0, err
	}
	s, err := c.line()
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(s, 10, 64)
}

func (c *child) stop() error { return errors.Join(c.in.Close(), c.cmd.Wait()) }

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
