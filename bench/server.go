package main

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/tls12"
)

// childArg makes this program one server: bench child KIND DIR.
const childArg = "child"

// The kinds of servers.
const (
	ticketKind   = "crypto/tls ticket"
	configKind   = "ServerConfig"
	memoryKind   = "NewListener"
	serverKind   = "Server"
	boltKind     = "NewListener, bolt"
	idKind       = "NewListener, session id"
	serverIDKind = "Server, session id"
)

// listen returns a listener of the given kind whose connections are TLS servers.
func listen(kind string, sessions *store, config *tls.Config) (net.Listener, error) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	if kind == ticketKind {
		return tls.NewListener(inner, config), nil
	}
	settings := halfshake.Config{Scope: "bench"}
	if kind == idKind || kind == serverIDKind {
		settings.SessionIDs = halfshake.SessionIDsAlways
	}
	if sessions != nil {
		settings.Callbacks = sessions.external.Callbacks()
	}
	cache, err := halfshake.New(settings)
	if err != nil {
		return nil, err
	}
	switch kind {
	case configKind:
		hooked, err := cache.ServerConfig(config)
		return tls.NewListener(inner, hooked), err
	case memoryKind, boltKind, idKind:
		return cache.NewListener(inner, config)
	case serverKind, serverIDKind:
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
// then, for each line of input, what it has spent so far.
func serveChild(kind, dir string) error {
	config, err := serverConfig(dir)
	if err != nil {
		return err
	}
	sessions, err := openStore(kind, dir)
	if err != nil {
		return err
	}
	l, err := listen(kind, sessions, config)
	if err != nil {
		return err
	}
	go serve(l, kind)
	fmt.Println(l.Addr())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		lost, err := sessions.settle()
		if err != nil {
			return err
		}
		fmt.Println(spentSoFar(), lost)
	}
	return l.Close()
}

// serve answers each connection with one byte, and then with as many as the client
// asks for, in eight bytes. What comes after those it discards.
func serve(l net.Listener, kind string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		if _, ok := conn.(*tls12.Conn); ok != (kind == idKind) {
			fmt.Fprintf(os.Stderr, "bench: %s is served by %T\n", kind, conn)
			os.Exit(1)
		}
		go func() {
			defer conn.Close()
			if _, err := conn.Write([]byte{1}); err != nil {
				return
			}
			var wanted uint64
			if binary.Read(conn, binary.BigEndian, &wanted) == nil && send(conn, wanted) == nil {
				io.Copy(io.Discard, struct{ io.Reader }{conn})
			}
		}()
	}
}

// send writes n bytes, 32 KiB at a time.
func send(w io.Writer, n uint64) error {
	text := make([]byte, 32<<10)
	for n > 0 {
		part := min(n, uint64(len(text)))
		if _, err := w.Write(text[:part]); err != nil {
			return err
		}
		n -= part
	}
	return nil
}
