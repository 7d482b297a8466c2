package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"syscall"
	"time"
)

// TCPOptions configure a [TCP]. For each duration, zero means the default, and a negative
// value means no limit.
type TCPOptions struct {
	// HandshakeTimeout is how long a client's TLS handshake may take. The default is 10 s.
	HandshakeTimeout time.Duration
	// DialTimeout is how long connecting to the backend may take. The default is 5 s.
	DialTimeout time.Duration
	// IdleTimeout is how long a connection may be idle in both directions before it is
	// closed. The default is an hour.
	IdleTimeout time.Duration

	// Log receives the backend's failures, at most one line a second. Nil disables logging.
	Log *slog.Logger
}

const (
	defaultHandshakeTimeout = 10 * time.Second
	// halfOpenTimeout is the idle timeout once the backend has closed its side: few
	// clients send more after that, and some do not close.
	halfOpenTimeout = time.Minute
)

// A TCP connects each client with the backend and passes bytes on in both directions.
// It passes on half-closes too: a client's close_notify becomes a FIN, and the backend's
// FIN becomes a close_notify.
//
// The client also gets a close_notify if the connection was idle for too long or the
// backend cannot be reached. Any other end cuts the connection off without close_notify,
// because data may be missing.
//
// The backend learns nothing about the client, including its address.
type TCP struct {
	address   string
	dialer    net.Dialer
	handshake time.Duration
	idle      time.Duration
	halfOpen  time.Duration
	log       *slog.Logger
	warnings  *warnings
	buffers   buffers

	running  group // tunnels and calls of Serve
	stopping context.Context
	stop     context.CancelFunc
}

// NewTCP returns a proxy to target.
func NewTCP(target Target, options TCPOptions) *TCP {
	t := &TCP{
		address:   target.Address,
		dialer:    net.Dialer{Timeout: choose(options.DialTimeout, defaultDialTimeout)},
		handshake: choose(options.HandshakeTimeout, defaultHandshakeTimeout),
		idle:      choose(options.IdleTimeout, defaultIdleTimeout),
		halfOpen:  halfOpenTimeout,
		log:       orDiscard(options.Log),
		warnings:  newWarnings(options.Log, target),
	}
	t.stopping, t.stop = context.WithCancel(context.Background())
	return t
}

// Serve serves the connections of l, which must be TLS. l must limit their number. After
// Shutdown, which closes l, Serve returns nil. Otherwise it returns the error of l.
func (t *TCP) Serve(l net.Listener) error {
	leave, ok := t.running.enter(func() {}) // needs no cut: Serve returns when Shutdown begins
	if !ok {
		return l.Close()
	}
	defer leave()
	closed := make(chan error, 1)
	unless := context.AfterFunc(t.stopping, func() { closed <- l.Close() })
	err := t.acceptAll(l)
	if !unless() {
		return ignoreClosed(<-closed)
	}
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Shutdown stops accepting connections and waits until the open ones have ended. When ctx
// ends, it cuts off those that are left and returns the context's error. After Shutdown,
// no goroutine of the proxy runs.
func (t *TCP) Shutdown(ctx context.Context) error {
	t.stop()
	return t.running.drain(ctx)
}

// acceptAll starts a tunnel for each connection. If the process has run out of file
// descriptors, it waits and retries. The listener logs the shortage.
func (t *TCP) acceptAll(l net.Listener) error {
	const first, longest = 5 * time.Millisecond, time.Second
	for wait := first; ; {
		conn, err := l.Accept()
		if err == nil {
			wait = first
			t.start(conn)
			continue
		}
		errno, ok := errors.AsType[syscall.Errno](err)
		if !ok || !errno.Temporary() {
			return err
		}
		select {
		case <-time.After(wait):
			wait = min(2*wait, longest)
		case <-t.stopping.Done():
			return err
		}
	}
}

func (t *TCP) start(conn net.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	leave, ok := t.running.enter(cancel)
	if !ok {
		cancel()
		abort(conn)
		return
	}
	go func() {
		defer leave()
		defer cancel()
		(&tunnel{proxy: t, ctx: ctx, cancel: cancel, client: conn}).run()
	}()
}

// guard calls do. If do panics, for example in a TLS engine, guard logs the panic and calls
// otherwise, so that only this connection ends.
func (t *TCP) guard(do func(), otherwise func()) {
	defer func() {
		if failure := recover(); failure != nil {
			t.log.Error("a connection ended in a panic", "panic", failure, "stack", string(debug.Stack()))
			otherwise()
		}
	}()
	do()
}
