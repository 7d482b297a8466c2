package client

import (
	"io"
	"net"
	"sync"
)

// relay forwards TCP connections for a client that exits when the server closes one. The client's side stays open until the
// client closes it.
type relay struct {
	net.Listener
	to    string
	going sync.WaitGroup
}

func startRelay(to string) (*relay, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{Listener: listener, to: to}
	r.going.Go(r.serve)
	return r, nil
}

func (r *relay) serve() {
	for {
		client, err := r.Accept()
		if err != nil {
			return
		}
		r.going.Go(func() { r.forward(client) })
	}
}

func (r *relay) forward(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer server.Close()
	r.going.Go(func() { _, _ = io.Copy(client, server) })
	_, _ = io.Copy(server, client)
	_, _ = io.Copy(io.Discard, client) // if the server closed first
}

// stop returns when the client has closed its connections.
func (r *relay) stop() {
	_ = r.Close()
	r.going.Wait()
}
