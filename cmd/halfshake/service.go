package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"

	"github.com/halfshake/halfshake/cmd/halfshake/internal/proxy"
)

// A service answers the connections of a listener. It is an HTTP server, or the proxy of
// --to tcp://.
type service interface {
	// Serve returns when Shutdown is called, or the listener fails.
	Serve(net.Listener) error
	// Shutdown lets requests and connections finish until ctx ends, and cuts off the rest.
	Shutdown(ctx context.Context) error
}

// service returns the service that --to names, or the built-in page.
func (s *server) service() service {
	switch s.flags.To.Scheme {
	case "tcp":
		return proxy.NewTCP(s.flags.To, proxy.TCPOptions{HandshakeTimeout: s.limits.handshake, Log: s.log})
	case "http":
		// If a backend sends bytes out of turn, net/http's transport prints them
		// through package log.
		log.SetOutput(io.Discard)
		backend := proxy.NewHTTP(s.flags.To, proxy.HTTPOptions{ClientCert: s.flags.ClientCA != "", WriteTimeout: s.limits.write, Log: s.log})
		return &web{Server: s.httpServer(backend), drain: backend.Drain}
	default:
		return &web{Server: s.httpServer(s.pages())}
	}
}

// web is an HTTP server as a service.
type web struct {
	*http.Server
	drain func(context.Context) error // waits for what Shutdown does not wait for; may be nil
}

// Shutdown implements service.
func (w *web) Shutdown(ctx context.Context) error {
	err := w.Server.Shutdown(ctx)
	if err != nil {
		_ = w.Server.Close()
	}
	if w.drain != nil {
		err = errors.Join(err, w.drain(ctx))
	}
	return err
}
