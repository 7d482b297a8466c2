package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/net/netutil"
)

// bound are the listening sockets of a server.
type bound struct {
	tls     net.Listener
	metrics net.Listener // nil for none
}

// bindAll binds all addresses or none. Each listener serves a limited number of
// connections at the same time; others wait.
func bindAll(f *serveFlags, log *slog.Logger, connections int) (b bound, err error) {
	bind := func(flag string, a address) (net.Listener, error) {
		listener, err := listen(flag, a)
		if err != nil {
			return nil, err
		}
		return netutil.LimitListener(&tunedListener{Listener: listener, log: log.With("listen", listener.Addr().String())}, connections), nil
	}
	if b.tls, err = bind("--listen", f.Listen); err != nil {
		return bound{}, err
	}
	if f.Metrics == "" {
		return b, nil
	}
	if b.metrics, err = bind("--metrics", f.Metrics); err != nil {
		b.close()
		return bound{}, err
	}
	return b, nil
}

func (b bound) close() {
	_ = b.tls.Close()
	if b.metrics != nil {
		_ = b.metrics.Close()
	}
}

// network restricts an IPv4 address to IPv4, so that 0.0.0.0 does not also listen on
// every IPv6 address, which a firewall may not cover.
func network(a address) string {
	host, _, _ := net.SplitHostPort(string(a))
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() {
		return "tcp4"
	}
	return "tcp"
}

func listen(flag string, a address) (net.Listener, error) {
	config := net.ListenConfig{Control: tuneListener}
	listener, err := config.Listen(context.Background(), network(a), string(a))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s %s: the address is in use; stop the program that listens there, or choose another (port 0 picks a free one)", flag, a)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s %s: permission denied; choose a port above 1023, or grant CAP_NET_BIND_SERVICE", flag, a)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s %s: this machine has no such address; choose one of its own, or leave the host out for all", flag, a)
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", flag, a, err)
	}
	return listener, nil
}
