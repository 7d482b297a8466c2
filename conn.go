package halfshake

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/halfshake/halfshake/internal/ending"
	"github.com/halfshake/halfshake/tls12"
)

// A Conn is the server side of a TLS connection made with [Cache.Server]. It differs from
// a *tls.Conn of [Cache.NewListener] in two ways. Its new sessions enter the cache only
// when the handshake is complete. Its session leaves the cache when the connection ends
// uncleanly (Config.UncleanClose) or in a fatal alert.
//
// Its methods are safe for concurrent use like those of a *tls.Conn. The cache does not
// learn how a Conn ended that is never closed.
type Conn struct {
	transport *transport
	handshake *handshake
	choice    engineChoice

	// opening holds an element while the ClientHello is read and the engine is chosen.
	// engine is nil until then. openErr is the error if no engine could be chosen. With
	// Config.SessionIDs off there is no choice.
	opening chan struct{}
	engine  atomic.Pointer[servedConn]
	openErr error

	completion sync.Once
	notified   atomic.Bool // CloseWrite has sent close_notify
	closed     atomic.Bool // Close has been called
}

var _ net.Conn = (*Conn)(nil)

// Server returns the server side of a TLS connection over raw whose sessions live in
// the cache. It returns the same errors as [Cache.NewListener]. With Config.SessionIDs
// set, the handshake reads the ClientHello before it chooses the engine. Only the
// connection's deadlines and the handshake's context limit that time.
func (c *Cache) Server(raw net.Conn, config *tls.Config) (*Conn, error) {
	if raw == nil {
		return nil, errors.New("halfshake: the net.Conn is nil")
	}
	p, err := c.checkConfig(config)
	if err != nil {
		return nil, err
	}
	t := c.newTransport(raw, p, true)
	conn := &Conn{transport: t, handshake: t.handshake, opening: make(chan struct{}, 1)}
	if c.cfg.SessionIDs == SessionIDsOff {
		engine := c.cryptoTLS(p, t)
		conn.engine.Store(&engine)
		return conn, nil
	}
	t.Conn = &replayed{Conn: raw}
	conn.choice = c.newEngineChoice(p)
	return conn, nil
}

// open returns the engine, and chooses it first if necessary.
func (c *Conn) open(ctx context.Context) (servedConn, error) {
	if engine := c.engine.Load(); engine != nil {
		return *engine, nil
	}
	select {
	case c.opening <- struct{}{}:
		defer func() { <-c.opening }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if engine := c.engine.Load(); engine != nil || c.openErr != nil {
		return c.opened(), c.openErr
	}
	data, hello, err := c.readHello(ctx)
	if err != nil {
		c.openErr = err
		return nil, err
	}
	engine := c.choice.open(ctx, c.transport, data, hello)
	c.engine.Store(&engine)
	return engine, nil
}

// opened returns the engine, or nil if it has not been chosen.
func (c *Conn) opened() servedConn {
	if engine := c.engine.Load(); engine != nil {
		return *engine
	}
	return nil
}

// readHello reads the ClientHello and leaves its bytes for the engine to read again. As
// in crypto/tls, cancelling the context closes the connection.
func (c *Conn) readHello(ctx context.Context) (data, hello []byte, err error) {
	below := c.transport.Conn.(*replayed)
	inTime := context.AfterFunc(ctx, func() { below.Close() })
	data, hello, err = readHello(below.Conn)
	if !inTime() {
		return nil, nil, ctx.Err()
	}
	below.data = data
	return data, hello, err
}

// Handshake runs the handshake if it has not yet run. Read and Write call it.
func (c *Conn) Handshake() error { return c.HandshakeContext(context.Background()) }

// HandshakeContext is Handshake with a context, which the callbacks receive. If the
// context ends before the handshake does, HandshakeContext returns its error and closes
// the connection. (A call that waits for another's handshake closes it under crypto/tls
// only.) The callbacks must not use this connection, because its handshake is still
// running.
func (c *Conn) HandshakeContext(ctx context.Context) error {
	engine, err := c.open(ctx)
	if err != nil {
		return err
	}
	if err := engine.HandshakeContext(ctx); err != nil {
		return err
	}
	c.completion.Do(func() {
		if h := c.handshake; h.verified && !c.isTLS12() {
			h.ctx = ctx // the engine's own context has ended
			h.completed(h.resuming)
		}
	})
	return nil
}

// isTLS12 reports whether the engine is package tls12. That engine reports to the cache
// itself when the handshake is complete and how the connection ends.
func (c *Conn) isTLS12() bool {
	_, ok := c.opened().(*tls12.Conn)
	return ok
}

// Read reads application data; see [tls.Conn.Read].
func (c *Conn) Read(b []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	n, err := c.opened().Read(b)
	how := ending.OfRead(err, c.transport.readErr())
	if how == ending.Clean {
		c.transport.settled.Store(true)
	}
	c.judge(how)
	return n, err
}

// Write writes application data; see [tls.Conn.Write].
func (c *Conn) Write(b []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	n, err := c.opened().Write(b)
	c.judge(ending.OfWrite(err, c.transport.writeErr()))
	return n, err
}

// CloseWrite sends close_notify; see [tls.Conn.CloseWrite].
func (c *Conn) CloseWrite() error {
	if c.opened() == nil {
		return errEarlyCloseWrite
	}
	err := c.opened().CloseWrite()
	if err == nil {
		c.notified.Store(true)
	}
	c.judge(ending.OfWrite(err, c.transport.writeErr()))
	return err
}

// Close sends close_notify and closes the connection. As in libssl, the close is clean
// if close_notify was sent, even if the client was gone and did not receive it. The close
// is unclean if the transport had already ended without the client's close_notify, or if
// Close had to interrupt a Write.
func (c *Conn) Close() error {
	engine := c.opened()
	if engine == nil {
		return c.transport.Close() // no alert is due before the client has sent anything
	}
	if c.closed.Swap(true) {
		return engine.Close()
	}
	c.transport.settled.Store(true)
	before := c.transport.writes.Load()
	err := engine.Close()
	if c.transport.writes.Load() == before && !c.notified.Load() {
		c.transport.broken.Store(true) // Close interrupted a Write
	}
	c.judge(ending.OfWrite(err, c.transport.writeErr()))
	return err
}

var errEarlyCloseWrite = errors.New("halfshake: CloseWrite called before the handshake was complete")

// judge tells the cache how the connection has ended. An error of the engine shows an
// alert; the transport shows a missing close_notify. Package tls12 reports its own ends.
func (c *Conn) judge(how ending.How) {
	switch {
	case c.isTLS12():
	case how == ending.Alert:
		c.handshake.ended(ending.Alert)
	case c.transport.broken.Load():
		c.handshake.ended(ending.Unclean)
	}
}

// ConnectionState returns what was agreed; see [tls.Conn.ConnectionState]. It is
// zero until the handshake has begun.
func (c *Conn) ConnectionState() tls.ConnectionState {
	if engine := c.opened(); engine != nil {
		return engine.ConnectionState()
	}
	return tls.ConnectionState{}
}

// NetConn returns the connection below the TLS engine, which [SessionOf] accepts.
// That connection's own NetConn method returns the one passed to [Cache.Server].
func (c *Conn) NetConn() net.Conn { return c.transport }

// LocalAddr returns the local address.
func (c *Conn) LocalAddr() net.Addr { return c.transport.LocalAddr() }

// RemoteAddr returns the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.transport.RemoteAddr() }

// SetDeadline sets both deadlines; see [tls.Conn.SetDeadline].
func (c *Conn) SetDeadline(t time.Time) error { return c.transport.SetDeadline(t) }

// SetReadDeadline sets the deadline of reads; see [tls.Conn.SetReadDeadline].
func (c *Conn) SetReadDeadline(t time.Time) error { return c.transport.SetReadDeadline(t) }

// SetWriteDeadline sets the deadline of writes; see [tls.Conn.SetWriteDeadline].
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.transport.SetWriteDeadline(t) }
