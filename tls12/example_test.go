package tls12_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/tls12"
)

// A cache keeps every session. A real one would bound their number and age.
type cache struct {
	byID sync.Map
}

func (c *cache) Lookup(_ context.Context, _ *tls12.ClientHello, id []byte) *tls12.Session {
	s, _ := c.byID.Load(string(id))
	found, _ := s.(*tls12.Session)
	return found
}

func (c *cache) NewID(context.Context, *tls12.ClientHello) []byte {
	id := make([]byte, 32)
	rand.Read(id)
	return id
}

func (c *cache) Completed(_ context.Context, _ *tls12.ClientHello, s *tls12.Session) {
	if s == nil {
		return
	}
	c.byID.Store(string(s.ID), s)
}

func (c *cache) Resumed(context.Context, *tls12.ClientHello, *tls12.Session) {}

func (c *cache) Ended(s *tls12.Session, how tls12.Ending) {
	if how == tls12.AlertEnd {
		c.byID.Delete(string(s.ID))
	}
}

// Two connections: the second resumes the session of the first.
func Example() {
	ca := testca.Root("example", testca.ECDSA)
	serverConfig := &tls.Config{Certificates: []tls.Certificate{ca.Server()}}
	clientConfig := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}
	sessions := new(cache)

	var session *tls12.Session // none yet
	for range 2 {
		clientEnd, serverEnd := net.Pipe()
		server, err := tls12.Server(serverEnd, serverConfig, sessions)
		if err != nil {
			fmt.Println(err)
			return
		}
		go func() {
			fmt.Fprintf(server, "resumed: %v", server.ConnectionState().DidResume)
			server.Close()
		}()
		client, err := tls12.Client(clientEnd, clientConfig, session)
		if err != nil {
			fmt.Println(err)
			return
		}
		answer, err := io.ReadAll(client) // until the server's close_notify
		fmt.Println(string(answer), err)
		session = client.Session()
		client.Close()
	}
	// Output:
	// resumed: false <nil>
	// resumed: true <nil>
}
