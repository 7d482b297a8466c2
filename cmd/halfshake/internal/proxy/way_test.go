package proxy

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/internal/testsecrets"
)

const (
	// limit is how long a test waits for something that should happen at once.
	limit = 10 * time.Second
	// patience is how long it waits for a thousand such things on a busy machine.
	patience = 4 * time.Minute
)

// ca signs the tests' certificates, of servers and of clients.
var (
	ca     = testca.Root("proxy", testca.ECDSA)
	server = ca.Server()
)

// A way is how a client reaches the proxy: the listener, and the protocols.
type way struct {
	name    string
	listen  func(*testing.T, net.Listener, *tls.Config) net.Listener
	version uint16
	http2   bool
	tls12   bool // the client also resumes by session id
}

var ways = []way{
	{"crypto_tls, 1.3, HTTP_1.1", standard, tls.VersionTLS13, false, false},
	{"crypto_tls, 1.3, HTTP_2", standard, tls.VersionTLS13, true, false},
	{"halfshake, 1.3, HTTP_2", cached, tls.VersionTLS13, true, false},
	{"halfshake, 1.2 by tls12, HTTP_1.1", cached, tls.VersionTLS12, false, true},
}

func standard(_ *testing.T, inner net.Listener, config *tls.Config) net.Listener {
	return tls.NewListener(inner, config)
}

// cached serves TLS 1.2 with the engine tls12.
func cached(t *testing.T, inner net.Listener, config *tls.Config) net.Listener {
	t.Helper()
	cache, err := halfshake.New(halfshake.Config{SessionIDs: halfshake.SessionIDsAlways, Scope: "proxy"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cache.Close() })
	l, err := cache.NewListener(inner, config)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func serverConfig() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{server}, NextProtos: []string{"h2", "http/1.1"}}
}

// clientConfig returns a client's configuration that trusts the servers and resumes.
func clientConfig(version uint16) *tls.Config {
	return &tls.Config{
		RootCAs: ca.Pool(), ServerName: "localhost", MinVersion: version, MaxVersion: version,
		ClientSessionCache: tls.NewLRUClientSessionCache(8), KeyLogWriter: testsecrets.KeyLog(),
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// http1Ways are the ways with HTTP/1.1, one for each engine.
func http1Ways() (list []way) {
	for _, w := range ways {
		if !w.http2 {
			list = append(list, w)
		}
	}
	return list
}
