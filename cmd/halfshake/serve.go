package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/halfshake/halfshake"
)

// limits bound the resources that clients can hold.
type limits struct {
	handshake   time.Duration // of the handshake, and of a request's header
	request     time.Duration // of a request to the page, and of its answer
	write       time.Duration // of a part of a backend's answer
	idle        time.Duration
	connections int // at a time, of each address
	headerBytes int
}

var defaultLimits = limits{
	handshake:   10 * time.Second,
	request:     30 * time.Second,
	write:       5 * time.Minute,
	idle:        2 * time.Minute,
	connections: 10_000,
	headerBytes: 64 << 10,
}

// server is a "halfshake serve" that is ready to accept.
type server struct {
	flags    *serveFlags
	log      *slog.Logger
	limits   limits
	files    *tlsFiles
	store    *store // nil for none
	cache    *halfshake.Cache
	draining atomic.Bool

	listener net.Listener // TLS
	metrics  net.Listener // plain HTTP; nil for none
}

// Run is the verb.
func (f *serveFlags) Run() error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once

	s, err := begin(ctx, f, f.logger(), defaultLimits)
	if s == nil {
		return err
	}
	return s.serve(ctx, hangups)
}

// begin is newServer, but returns nil when ctx ends, because a file may be on a file
// system that hangs.
func begin(ctx context.Context, f *serveFlags, log *slog.Logger, l limits) (*server, error) {
	type outcome struct {
		server *server
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		s, err := newServer(f, log, l)
		done <- outcome{s, err}
	}()
	select {
	case o := <-done:
		return o.server, o.err
	case <-ctx.Done():
		return nil, nil
	}
}

// newServer does everything that can fail because of the flags. It binds the addresses
// first, so that a process that cannot have them makes no certificate.
func newServer(f *serveFlags, log *slog.Logger, l limits) (*server, error) {
	sockets, err := bindAll(f, log, l.connections)
	if err != nil {
		return nil, err
	}
	s := &server{flags: f, log: log, limits: l, metrics: sockets.metrics}
	if err := s.prepare(sockets.tls); err != nil {
		sockets.close()
		return nil, err
	}
	return s, nil
}

// prepare makes everything between inner and the service.
func (s *server) prepare(inner net.Listener) (err error) {
	if s.files, err = newTLSFiles(s.flags, s.log); err != nil {
		return err
	}
	if s.store, err = openStore(s.flags, s.log); err != nil {
		return err
	}
	if s.cache, err = halfshake.New(s.cacheConfig()); err == nil {
		s.listener, err = s.cache.NewListener(inner, s.files.config())
	}
	if err != nil {
		return errors.Join(err, s.store.close())
	}
	return nil
}

// cacheConfig returns the configuration of the cache that the flags describe. Without
// --scope, a session belongs to the --client-ca file and the server's key.
func (s *server) cacheConfig() halfshake.Config {
	f := s.flags
	config := halfshake.Config{
		Mode: f.CacheMode.Mode, Timeout: f.Timeout.Duration, Size: f.CacheSize, MaxLineageAge: time.Duration(f.MaxLineageAge),
		Scope: f.Scope, SessionIDs: f.SessionIDs.SessionIDs, Callbacks: s.store.callbacks(), Logger: s.log,
	}
	if f.Scope == "" {
		config.TrustID = s.files.trustID
	}
	return config
}

// serve answers until ctx ends, and then returns nil.
func (s *server) serve(ctx context.Context, hangups <-chan os.Signal) error {
	failed := make(chan error, 2)
	start := func(running service, l net.Listener) service {
		go func() { failed <- running.Serve(l) }()
		return running
	}
	running := []service{start(s.service(), s.listener)}
	if s.metrics != nil { // stops last, so that /readyz answers until then
		running = append(running, start(&web{Server: s.httpServer(s.metricsPages())}, s.metrics))
	}
	s.announce()
	ending, end := context.WithCancel(ctx)
	defer end()
	go s.reloadAt(ending, hangups)
	select {
	case err := <-failed:
		return errors.Join(err, s.stop(running))
	case <-ctx.Done():
		s.log.Info("stopping", "drain", s.flags.Drain.String())
		return s.stop(running)
	}
}

// reloadAt reads the files again at each SIGHUP until ctx ends. It runs in its own
// goroutine, so that a file that hangs does not keep the server from stopping.
func (s *server) reloadAt(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-hangups:
			s.files.reload()
			s.store.reload(s.cache, s.log)
		case <-ctx.Done():
			return
		}
	}
}

// stop lets open requests and connections finish, up to the limit, and then closes the
// cache and the store.
func (s *server) stop(running []service) error {
	s.draining.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), s.flags.Drain.Duration)
	defer cancel()
	for _, r := range running {
		if r.Shutdown(ctx) != nil {
			s.log.Warn("cut off requests and connections that had not finished", "after", s.flags.Drain.String())
		}
	}
	if err := errors.Join(s.cache.Close(), s.store.close()); err != nil {
		s.log.Error("some sessions were not kept", "error", err)
	}
	return nil
}

// announce logs the certificates, that the server is ready, and a command for newcomers
// to try.
func (s *server) announce() {
	s.files.report("loaded the certificates")
	url := "https://" + reachable(s.listener.Addr()) + "/"
	metrics := ""
	if s.metrics != nil {
		metrics = s.metrics.Addr().String()
	}
	s.log.Info("serving", "listen", s.listener.Addr().String(), "metrics", metrics, "store", s.store.String(), "to", s.flags.To.String(), "url", url)
	if s.flags.Cert == "" && s.flags.ClientCA == "" {
		url += "connection.json"
		s.log.Info("to see a session resumed, run", "command", "curl -k --http1.1 -H 'Connection: close' "+url+" "+url)
	}
}

// reachable returns addr in a form that a client on this machine can dial.
func reachable(addr net.Addr) string {
	host, port, _ := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
