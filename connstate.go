package halfshake

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
)

// A connState is what the cache knows of one connection of its own, under a
// [Cache.NewListener] or [Cache.Server]. It is the net.Conn below the TLS engine,
// which is how [SessionOf] finds it again.
type connState struct {
	net.Conn

	// atCompletion is set where a [Conn] over crypto/tls says when the handshake
	// is complete; elsewhere with that engine VerifyConnection has to do.
	// Package tls12 says it by itself.
	atCompletion bool

	// Of the handshake's goroutine alone.
	ctx       context.Context // the handshake's
	offered   []uint16        // the ClientHello's suites, until VerifyConnection
	proposed  bool            // the one look-up has been made
	verified  bool            // VerifyConnection has agreed, under hooks of this connection
	candidate *Session        // what the look-up found
	pending   *pendingSession // what waits for the handshake's completion

	// Written by that goroutine, read by any.
	resumed atomic.Pointer[Session] // the session that was resumed
	issued  atomic.Pointer[Session] // the session that was made

	// broken is the error with which the transport ended by itself, nil while it
	// has not. From settled on its end says nothing more: the client's
	// close_notify was read, or Close was called.
	broken  atomic.Pointer[error]
	settled atomic.Bool
	// writes counts the writes to the transport.
	writes atomic.Uint64
}

// A pendingSession is a new session whose client has yet to finish.
type pendingSession struct {
	info    ConnInfo
	session *Session
	proved  bool
}

func (c *Cache) newConnState(raw net.Conn) *connState {
	return &connState{Conn: raw, ctx: c.ctx}
}

// NetConn returns the connection that the program handed in.
func (s *connState) NetConn() net.Conn {
	if read, ok := s.Conn.(*replayed); ok {
		return read.Conn
	}
	return s.Conn
}

// Read notes an end of the transport; the TLS engine does not read on after a
// close_notify, so that this one came without. An end that comes with data is
// told again.
func (s *connState) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if n == 0 {
		s.note(err)
	}
	return n, err
}

// Write notes a transport that takes no more.
func (s *connState) Write(b []byte) (int, error) {
	s.writes.Add(1)
	n, err := s.Conn.Write(b)
	s.note(err)
	return n, err
}

func (s *connState) note(err error) {
	if err != nil && !s.settled.Load() && !errors.Is(err, os.ErrDeadlineExceeded) {
		s.broken.CompareAndSwap(nil, &err)
	}
}

// saw keeps what the ClientHello says that crypto/tls does not pass to its hooks.
func (s *connState) saw(hello *tls.ClientHelloInfo) {
	s.ctx, s.offered = hello.Context(), hello.CipherSuites
}

// propose reports whether a look-up is left to the connection: a TLS 1.3 client
// may list many identities, and the first that can be an id is looked up.
func (s *connState) propose() bool {
	first := !s.proposed
	s.proposed = true
	return first
}

// issue takes a new session: at once into the cache, or on completion.
func (s *connState) issue(c *Cache, info ConnInfo, session *Session, proved bool) {
	if s.atCompletion {
		s.pending = &pendingSession{info, session, proved}
		return
	}
	s.issued.Store(session)
	c.establish(s.ctx, info, session, proved)
}

// agreed is called when VerifyConnection has agreed.
func (s *connState) agreed(c *Cache, cs tls.ConnectionState) {
	s.verified, s.offered = true, nil
	if !s.atCompletion {
		s.complete(s.ctx, c, cs)
	}
}

// complete records a good handshake, unless it was another configuration's hooks
// that saw it.
func (s *connState) complete(ctx context.Context, c *Cache, cs tls.ConnectionState) {
	if !s.verified {
		return
	}
	if cs.DidResume && s.candidate != nil {
		s.resumed.Store(s.candidate)
		c.confirm(s.candidate)
	}
	if p := s.pending; p != nil {
		s.pending = nil
		s.issued.Store(p.session)
		c.establish(ctx, p.info, p.session, p.proved)
	}
	c.completed(cs.DidResume)
	c.logHandshake(ctx, ConnInfo{RemoteAddr: s.RemoteAddr(), ServerName: cs.ServerName, Version: cs.Version}, cs.DidResume,
		slog.Bool("offered", s.proposed))
}

// disagreed is called when the application's VerifyConnection ended the
// handshake in an alert. libssl then removes the session that was to be resumed.
// Here it stays: the client's Finished has not been seen, and whoever recorded a
// ClientHello could have it removed by playing it again. The new one goes.
func (s *connState) disagreed(c *Cache) {
	if issued := s.issued.Swap(nil); issued != nil {
		c.remove(issued, CauseAlert)
	}
}

// current returns the session that the connection resumed or else made.
func (s *connState) current() *Session {
	if r := s.resumed.Load(); r != nil {
		return r
	}
	return s.issued.Load()
}

// SessionOf returns the session of a connection of [Cache.NewListener] or
// [Cache.Server]: the one that it resumed, or the one that its full handshake
// made. It looks through connections with a NetConn method. It returns false
// before the handshake, for connections of others, and where no session was made.
func SessionOf(conn net.Conn) (*Session, bool) {
	for conn != nil {
		if state, ok := conn.(*connState); ok {
			s := state.current()
			return s, s != nil
		}
		inner, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return nil, false
		}
		conn = inner.NetConn()
	}
	return nil, false
}
