package boltstore_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/stores/boltstore"
)

// Sessions that survive a restart: the server runs twice, and the session that a
// client gets from the first run resumes in the second.
func ExampleOpenExternal() {
	dir, _ := os.MkdirTemp("", "sessions") // in production, a directory such as /var/lib/NAME/sessions
	defer os.RemoveAll(dir)
	authority := testca.Root("authority", testca.ECDSA)
	certificate := authority.Server()
	client := &tls.Config{
		RootCAs:            authority.Pool(),
		ServerName:         "localhost",
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}

	serve := func() error {
		sessions, err := boltstore.OpenExternal(dir, boltstore.Config{})
		if err != nil {
			return err
		}
		defer sessions.Close()
		cache, err := halfshake.New(halfshake.Config{Callbacks: sessions.Callbacks()})
		if err != nil {
			return err
		}
		defer cache.Close() // before sessions
		config, err := cache.ServerConfig(&tls.Config{Certificates: []tls.Certificate{certificate}})
		if err != nil {
			return err
		}
		return greet(client, config)
	}
	for range 2 {
		if err := serve(); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// hello, resumed: false
	// hello, resumed: true
}

// A command-line client whose second run resumes. The run is a function here; everything
// of Halfshake in it is what follows "sessions" and "cache".
func ExampleOpenExternal_client() {
	home, _ := os.MkdirTemp("", "client") // in production, a directory of the user's, such as os.UserCacheDir has
	defer os.RemoveAll(home)
	authority := testca.Root("authority", testca.ECDSA)
	server := &tls.Config{Certificates: []tls.Certificate{authority.Server()}}
	base := &tls.Config{RootCAs: authority.Pool()}

	run := func() error {
		sessions, err := boltstore.OpenExternal(home, boltstore.Config{})
		if err != nil {
			return err
		}
		defer sessions.Close()
		cache, err := halfshake.New(halfshake.Config{Mode: halfshake.ModeClient, Callbacks: sessions.Callbacks()})
		if err != nil {
			return err
		}
		defer cache.Close() // before sessions
		config, err := cache.ClientConfig(base, "localhost:443")
		if err != nil {
			return err
		}
		return greet(config, server)
	}
	for range 2 {
		if err := run(); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// hello, resumed: false
	// hello, resumed: true
}

// greet connects a client and a server, which says hello.
func greet(client, server *tls.Config) error {
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		conn := tls.Server(far, server)
		fmt.Fprint(conn, "hello")
		conn.Close()
	}()
	conn := tls.Client(near, client)
	text, err := io.ReadAll(conn)
	fmt.Printf("%s, resumed: %v\n", text, conn.ConnectionState().DidResume)
	return err
}
