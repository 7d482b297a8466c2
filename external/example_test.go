package external_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/external"
	"github.com/halfshake/halfshake/external/memstore"
	"github.com/halfshake/halfshake/internal/testca"
)

// Two servers over one store, as before and after a restart: the second resumes what the
// first has made. In production the store is a database, and the keys come from a file.
func Example() {
	store := memstore.New(memstore.Config{})
	keys := external.GenerateKeys(time.Now())
	ca := testca.Root("example CA", testca.ECDSA)
	client := &tls.Config{
		RootCAs: ca.Pool(), ServerName: "a.example", ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	for range 2 {
		sessions, err := external.New(store, external.Config{Keys: keys})
		if err != nil {
			fmt.Println(err)
			return
		}
		cache, err := halfshake.New(halfshake.Config{Callbacks: sessions.Callbacks()})
		if err != nil {
			fmt.Println(err)
			return
		}
		server := &tls.Config{Certificates: []tls.Certificate{ca.Server("a.example")}}
		fmt.Println("resumed:", hello(cache, server, client))

		// In this order: the Cache, the External, the store.
		cache.Close()
		if err := sessions.Close(); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// resumed: false
	// resumed: true
}

// hello serves one client, which reads a greeting, and reports whether it resumed.
func hello(cache *halfshake.Cache, server, client *tls.Config) (resumed bool) {
	near, far := net.Pipe()
	conn, err := cache.Server(far, server)
	if err != nil {
		fmt.Println(err)
		return false
	}
	var served sync.WaitGroup
	served.Go(func() {
		defer conn.Close()
		io.WriteString(conn, "hello")
		io.Copy(io.Discard, conn) // until the client closes
	})
	c := tls.Client(near, client)
	io.ReadFull(c, make([]byte, len("hello")))
	c.Close()
	served.Wait()
	return c.ConnectionState().DidResume
}
