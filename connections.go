package halfshake

import (
	"crypto/x509"
	"runtime"
	"sync"
	"weak"
)

// connections are the handshakes of clients under configurations of
// [Cache.ClientConfig], which may serve many connections at once. crypto/tls does not
// say for which of them it calls VerifyConnection, or stores a session. But it shows the
// slice of the server's certificates there. A full handshake makes that slice, and a
// resumption takes the one of the session that it was given, which is decoded anew for
// each connection. So the slice's address identifies the connection.
//
// An entry lives as long as the slice, which the connection keeps alive: it holds no
// secret, and needs no other bound.
type connections struct {
	mu *sync.Mutex
	of map[certificatesOf]*handshake
}

// certificatesOf identifies a slice of certificates without keeping it alive.
type certificatesOf = weak.Pointer[*x509.Certificate]

func newConnections() connections {
	return connections{new(sync.Mutex), make(map[certificatesOf]*handshake)}
}

// put remembers h until server is no longer used.
func (c connections) put(server []*x509.Certificate, h *handshake) {
	if len(server) == 0 {
		return
	}
	k := weak.Make(&server[0])
	c.mu.Lock()
	_, known := c.of[k]
	c.of[k] = h
	c.mu.Unlock()
	if !known {
		runtime.AddCleanup(&server[0], c.forget, k)
	}
}

// get returns the handshake of a slice, or nil.
func (c connections) get(server []*x509.Certificate) *handshake {
	if len(server) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[weak.Make(&server[0])]
}

func (c connections) forget(k certificatesOf) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.of, k)
}

func (c connections) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.of)
}
