package main

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/external"
	"github.com/halfshake/halfshake/stores/boltstore"
)

// childArg makes this program one server: bench child KIND DIR.
const childArg = "child"

// The kinds of servers.
const (
	ticketKind = "crypto/tls ticket"
	configKind = "ServerConfig"
	memoryKind = "NewListener"
	serverKind = "Server"
	boltKind   = "NewListener, bolt"
	idKind     = "NewListener, session id"
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
	if kind == idKind {
		settings.SessionIDs = halfshake.Always
	}
	if sessions != nil {
		settings.Callbacks = sessions.Callbacks()
	}
	cache, err := halfshake.New(settings)
	if err != nil {
		return nil, nil, err
	}
	switch kind {
	case configKind:
		hooked, err := cache.ServerConfig(config)
		return tls.NewListener(inner, hooked), nil, err
	case memoryKind, boltKind, idKind:
		l, err := cache.NewListener(inner, config)
		return l, sessions, err
	case serverKind:
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
// then, for each line of input, what it has spent so far.
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
		fmt.Println(spentSoFar(), notWritten(sessions))
	}
	return l.Close()
}

// notWritten is how many sessions did not get to the store.
func notWritten(sessions *external.External) uint64 {
	if sessions == nil {
		return 0
	}
	stats := sessions.Stats()
	return stats.PutDropped + stats.PutFailed
}

// serve answers each connection with one byte, and then with as many as the client
// asks for, in eight bytes. What comes after those it discards.
func serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
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
