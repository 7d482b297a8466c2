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
	"strings"
	"syscall"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/external"
	"github.com/halfshake/halfshake/stores/boltstore"
)

// childArg makes this program one server: bench child KIND DIR.
const childArg = "child"

// kinds are the servers that are compared; the first is the peer.
var kinds = []string{ticketKind, "ServerConfig", memoryKind, "Server", boltKind}

const (
	ticketKind = "crypto/tls ticket"
	memoryKind = "NewListener"
	boltKind   = "NewListener, bolt"
)

// listen returns a listener of the given kind whose connections are TLS servers,
// and the External behind it, nil for none. The file of a store is in dir.
func listen(kind, dir string, config *tls.Config) (net.Listener, *external.External, error) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	if kind == ticketKind {
		return tls.NewListener(inner, config), nil, nil
	}
	sessions, err := openStore(kind, dir)
	if err != nil {
		return nil, nil, err
	}
	settings := halfshake.Config{Scope: "bench"}
	if sessions != nil {
		settings.Callbacks = sessions.Callbacks()
	}
	cache, err := halfshake.New(settings)
	if err != nil {
		return nil, nil, err
	}
	switch kind {
	case "ServerConfig":
		hooked, err := cache.ServerConfig(config)
		return tls.NewListener(inner, hooked), nil, err
	case memoryKind, boltKind:
		l, err := cache.NewListener(inner, config)
		return l, sessions, err
	case "Server":
		return serverListener{inner, cache, config}, nil, nil
	}
	return nil, nil, fmt.Errorf("no kind %q of server", kind)
}

// openStore opens the store of a kind; nil for none. It is closed by the process's
// end.
func openStore(kind, dir string) (*external.External, error) {
	if kind != boltKind {
		return nil, nil
	}
	file, err := os.CreateTemp(dir, "sessions-*")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(file.Close(), os.Remove(file.Name())); err != nil {
		return nil, err
	}
	store, err := boltstore.Open(file.Name(), boltstore.Config{})
	if err != nil {
		return nil, err
	}
	return external.New(store, external.Config{Keys: external.GenerateKeys(time.Now())})
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
// then, for each line of input, the CPU time in nanoseconds that it has spent, and
// how many sessions it has failed to write to its store.
func serveChild(kind, dir string) error {
	config, err := serverConfig(dir)
	if err != nil {
		return err
	}
	l, sessions, err := listen(kind, dir, config)
	if err != nil {
		return err
	}
	go serve(l)
	fmt.Println(l.Addr())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(cpuTime(), notWritten(sessions))
	}
	return l.Close()
}

func notWritten(sessions *external.External) uint64 {
	if sessions == nil {
		return 0
	}
	stats := sessions.Stats()
	return stats.PutDropped + stats.PutFailed
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

// cpu returns the CPU time that the child has spent so far, in nanoseconds. A
// session that was not written is an error: what was not done is not to be
// measured.
func (c *child) cpu() (ns int64, err error) {
	if _, err := io.WriteString(c.in, "\n"); err != nil {
		return 0, err
	}
	s, err := c.line()
	if err != nil {
		return 0, err
	}
	var lost uint64
	if _, err := fmt.Sscan(s, &ns, &lost); err != nil {
		return 0, err
	}
	if lost > 0 {
		return 0, fmt.Errorf("%d sessions were not written to the store", lost)
	}
	return ns, nil
}

func (c *child) stop() error { return errors.Join(c.in.Close(), c.cmd.Wait()) }

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
