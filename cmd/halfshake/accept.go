package main

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"
)

// warnEvery is how often a shortage of file descriptors is logged at most.
const warnEvery = 10 * time.Second

// A tunedListener sets the socket options of each connection that it accepts. It warns
// when the process or the machine has run out of file descriptors, because its caller
// tries again and logs that only at the debug level.
type tunedListener struct {
	net.Listener
	log *slog.Logger

	mu     sync.Mutex
	warned time.Time // guarded by mu
}

// Accept returns the next connection.
func (l *tunedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			l.warn(err)
		}
		return nil, err
	}
	tuneConn(conn)
	return conn, nil
}

func (l *tunedListener) warn(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.warned) >= warnEvery {
		l.warned = now
		l.log.Warn("new connections are waiting for file descriptors; raise the limit (LimitNOFILE= in the unit file, or ulimit -n)", "error", err)
	}
}
