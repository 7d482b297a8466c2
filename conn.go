package halfshake

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A Conn is a TLS connection of a server that owns its connections. Beyond what
// a *tls.Conn of [Cache.NewListener] does, its new sessions enter the cache only
// when the handshake is complete, and its session leaves the cache when it ends
// uncleanly (Config.UncleanClose) or in a fatal alert.
//
// Its methods are safe for concurrent use as those of a *tls.Conn are. A Conn
// that is never closed tells the cache nothing of its end.
type Conn struct {
	cache *Cache
	tls   *tls.Conn
	state *connState

	completion sync.Once
	complete   atomic.Bool // the handshake is, and the cache has been told
	notified   atomic.Bool // CloseWrite has sent close_notify
	closed     atomic.Bool // Close has been called
	ended      atomic.Bool // the session has been removed
}

var _ net.Conn = (*Conn)(nil)

// Server returns raw as the server's side of a TLS connection whose sessions live
// in the cache. Errors are those of [Cache.NewListener].
func (c *Cache) Server(raw net.Conn, config *tls.Config) (*Conn, error) {
	if raw == nil {
		return nil, errors.New("halfshake: the net.Conn is nil")
	}
	p, err := c.checkConfig(config)
	if err != nil {
		return nil, err
	}
	state := c.newConnState(raw)
	state.atCompletion = true
	return &Conn{cache: c, state: state, tls: tls.Server(state, c.hooked(config, p, state))}, nil
}

// Handshake runs the handshake if it has not been run; Read and Write do so too.
func (c *Conn) Handshake() error { return c.HandshakeContext(context.Background()) }

// HandshakeContext is Handshake under a context, which the callbacks receive.
// They must not use this connection, whose handshake they are part of.
func (c *Conn) HandshakeContext(ctx context.Context) error {
	if err := c.tls.HandshakeContext(ctx); err != nil {
		return err
	}
	c.completion.Do(func() {
		c.state.complete(ctx, c.cache, c.tls.ConnectionState())
		c.complete.Store(true)
	})
	return nil
}

// Read reads application data; see [tls.Conn.Read].
func (c *Conn) Read(b []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	n, err := c.tls.Read(b)
	if err == io.EOF && c.state.broken.Load() == nil { // the client's close_notify
		c.state.settled.Store(true)
	}
	c.judge(err, err != nil && !c.fromTransport(err))
	return n, err
}

// Write writes application data; see [tls.Conn.Write].
func (c *Conn) Write(b []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	n, err := c.tls.Write(b)
	c.judge(err, false)
	return n, err
}

// CloseWrite sends close_notify; see [tls.Conn.CloseWrite].
func (c *Conn) CloseWrite() error {
	err := c.tls.CloseWrite()
	if err == nil {
		c.notified.Store(true)
	}
	c.judge(err, false)
	return err
}

// Close sends close_notify and closes the connection. As libssl has it, the close
// is clean if close_notify was sent, even if a client that is gone did not take
// it; it is unclean if the transport had ended before, by itself and without the
// client's close_notify, or if Close had to interrupt a Write.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.tls.Close()
	}
	c.state.settled.Store(true)
	before := c.state.writes.Load()
	err := c.tls.Close()
	if c.state.writes.Load() == before && !c.notified.Load() {
		c.state.broken.CompareAndSwap(nil, &errInterrupted)
	}
	c.judge(err, false)
	return err
}

var errInterrupted = errors.New("halfshake: Close interrupted a Write")

// judge removes the connection's session, once, when err or the transport says
// that it must not be resumed: after a fatal alert, sent or received, as libssl
// does, and after an end without close_notify, as Config.UncleanClose says. A
// connection whose handshake is not complete has proved nothing and removes
// nothing.
func (c *Conn) judge(err error, fatal bool) {
	switch {
	case !c.complete.Load():
	case fatal || isAlert(err):
		c.end(Alert)
	case c.state.broken.Load() != nil && c.cache.uncleanClose == Remove:
		c.end(UncleanClose)
	}
}

// fromTransport reports whether a Read failed for the transport's sake, or ended
// as it should. Whatever else crypto/tls returns from a Read is a violation of the
// protocol, for which it has sent an alert, though not every such error says so.
func (c *Conn) fromTransport(err error) bool {
	broken := c.state.broken.Load()
	return err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, os.ErrDeadlineExceeded) || broken != nil && errors.Is(err, *broken)
}

// isAlert reports whether crypto/tls returned err for an alert that ends the
// connection. Its type is not exported; the Op of the net.OpError is.
func isAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && (op.Op == "remote error" || op.Op == "local error")
}

// end removes the session that the client would resume next: the one that this
// connection made or, where it made none, as in TLS 1.2, the one it resumed.
func (c *Conn) end(cause Cause) {
	if c.ended.Swap(true) {
		return
	}
	if s := c.state.issued.Load(); s != nil {
		c.cache.remove(s, cause)
	} else if s := c.state.resumed.Load(); s != nil {
		c.cache.remove(s, cause)
	}
}

// ConnectionState returns what was agreed; see [tls.Conn.ConnectionState].
func (c *Conn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

// NetConn returns a connection below the TLS engine, on which [SessionOf] works;
// its own NetConn method returns the one that was handed to [Cache.Server].
func (c *Conn) NetConn() net.Conn { return c.state }

// LocalAddr returns the local address.
func (c *Conn) LocalAddr() net.Addr { return c.tls.LocalAddr() }

// RemoteAddr returns the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.tls.RemoteAddr() }

// SetDeadline sets both deadlines; see [tls.Conn.SetDeadline].
func (c *Conn) SetDeadline(t time.Time) error { return c.tls.SetDeadline(t) }

// SetReadDeadline sets the deadline of reads; see [tls.Conn.SetReadDeadline].
func (c *Conn) SetReadDeadline(t time.Time) error { return c.tls.SetReadDeadline(t) }

// SetWriteDeadline sets the deadline of writes; see [tls.Conn.SetWriteDeadline].
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.tls.SetWriteDeadline(t) }
