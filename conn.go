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

// A Conn is a TLS connection of a server that owns its connections. Beyond what
// a *tls.Conn of [Cache.NewListener] does, its new sessions enter the cache only
// when the handshake is complete, and its session leaves the cache when it ends
// uncleanly (Config.UncleanClose) or in a fatal alert.
//
// Its methods are safe for concurrent use as those of a *tls.Conn are. A Conn
// that is never closed tells the cache nothing of its end.
type Conn struct {
	transport *transport
	handshake *handshake
	choice    engineChoice

	// opening holds an element while the engine is chosen, by what the client sends
	// first; engine is nil before, and openErr what kept it from being chosen. With
	// Config.SessionIDs off there is no choice.
	opening chan struct{}
	engine  atomic.Pointer[servedConn]
	openErr error

	completion sync.Once
	notified   atomic.Bool // CloseWrite has sent close_notify
	closed     atomic.Bool // Close has been called
}

var _ net.Conn = (*Conn)(nil)

// Server returns raw as the server's side of a TLS connection whose sessions live
// in the cache. Errors are those of [Cache.NewListener]. With Config.SessionIDs set,
// the engine is chosen when the handshake has read the ClientHello, with no limit of
// time but the connection's deadlines and the handshake's context.
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

// open returns the engine, which it chooses if nobody has.
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

// opened returns the engine, nil if it has not been chosen.
func (c *Conn) opened() servedConn {
	if engine := c.engine.Load(); engine != nil {
		return *engine
	}
	return nil
}

// readHello reads the ClientHello, and has it come again. As in crypto/tls, the end
// of the context closes the connection.
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

// Handshake runs the handshake if it has not been run; Read and Write do so too.
func (c *Conn) Handshake() error { return c.HandshakeContext(context.Background()) }

// HandshakeContext is Handshake under a context, which the callbacks receive.
// They must not use this connection, whose handshake they are part of.
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
			h.ctx = ctx // that of the engine's own has ended
			h.completed(h.resuming)
		}
	})
	return nil
}

// isTLS12 reports whether the engine is package tls12, which tells the cache by
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

// Close sends close_notify and closes the connection. As libssl has it, the close
// is clean if close_notify was sent, even if a client that is gone did not take
// it; it is unclean if the transport had ended before, by itself and without the
// client's close_notify, or if Close had to interrupt a Write.
func (c *Conn) Close() error {
	engine := c.opened()
	if engine == nil {
		return c.transport.Close() // nothing to say before the client has spoken
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

// judge tells the cache how the connection has ended: in an alert, as an error says, or
// without close_notify, as the transport does. Package tls12 does so by itself.
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

// NetConn returns a connection below the TLS engine, on which [SessionOf] works;
// its own NetConn method returns the one that was handed to [Cache.Server].
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
