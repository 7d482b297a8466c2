package halfshake

import (
	"net"
	"sync/atomic"

	"github.com/halfshake/halfshake/internal/ending"
)

// A transport is the net.Conn below a TLS engine, on a connection of
// [Cache.NewListener] or [Cache.Server]. It is how [SessionOf] finds the connection's
// handshake again.
type transport struct {
	net.Conn
	handshake *handshake

	// broken is set once the transport has ended by itself. Once settled is set, an end
	// no longer matters: the client's close_notify was read, or Close was called.
	broken, settled atomic.Bool
	// read is the last error that Read returned without data; written is that of Write.
	read, written atomic.Pointer[error]
	// writes counts the writes to the transport.
	writes atomic.Uint64
}

// newTransport returns the transport of a connection. exact says that the caller learns
// when the handshake is complete, whatever the engine.
func (c *Cache) newTransport(raw net.Conn, p policy, exact bool) *transport {
	t := &transport{Conn: raw, handshake: c.newHandshake(p)}
	t.handshake.exact = exact
	return t
}

// NetConn returns the connection that the program passed in.
func (t *transport) NetConn() net.Conn {
	if read, ok := t.Conn.(*replayed); ok {
		return read.Conn
	}
	return t.Conn
}

// Read notes an end of the transport. The TLS engine does not read on after a
// close_notify, so an EOF here means that none was received. If an error arrives with
// data, the next Read returns it again.
func (t *transport) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	if n == 0 {
		t.note(&t.read, err)
	}
	return n, err
}

// Write notes a write error of the transport.
func (t *transport) Write(b []byte) (int, error) {
	t.writes.Add(1)
	n, err := t.Conn.Write(b)
	t.note(&t.written, err)
	return n, err
}

func (t *transport) note(last *atomic.Pointer[error], err error) {
	if err == nil {
		return
	}
	kept := err // err itself would be allocated for nil too
	last.Store(&kept)
	if !t.settled.Load() && ending.OfTransport(err) == ending.Unclean {
		t.broken.Store(true)
	}
}

func (t *transport) readErr() error  { return value(t.read.Load()) }
func (t *transport) writeErr() error { return value(t.written.Load()) }

func value(err *error) error {
	if err == nil {
		return nil
	}
	return *err
}

func (t *transport) current() *Session { return t.handshake.current() }

// SessionOf returns the session that the client of a connection will use next: the one
// that the connection made, or else the one that it resumed. The connection must come
// from [Cache.NewListener] or [Cache.Server], or wrap such a connection and have a
// NetConn method. SessionOf returns false for other connections, before the handshake,
// and if the connection has no session. From NewListener in TLS 1.3, the session is there
// from VerifyConnection on, before the client's Finished.
func SessionOf(conn net.Conn) (*Session, bool) {
	for conn != nil {
		if t, ok := conn.(interface{ current() *Session }); ok {
			s := t.current()
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
