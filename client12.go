package halfshake

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"

	"github.com/halfshake/halfshake/internal/sessionstate"
	"github.com/halfshake/halfshake/tls12"
)

// A ClientConn is the client's side of a TLS 1.2 connection that resumes by session id,
// made with [Cache.Client]. Its methods are safe for concurrent use like those of a
// *tls12.Conn.
type ClientConn struct {
	*tls12.Conn
	sessions  *clientSessions
	handshake *handshake
	started   atomic.Bool   // a call of HandshakeContext runs the handshake
	settled   chan struct{} // closed when the cache knows how it went
}

var _ net.Conn = (*ClientConn)(nil)

// Client returns the client's side of a connection over conn to addr, host:port, that
// resumes by session id: for servers of TLS 1.2 that issue no tickets. Package tls12 serves
// it. All other servers are for [Cache.ClientConfig], whose rules hold here too. base must
// allow TLS 1.2. Client chooses the session to offer, so the callbacks Find and Admit run
// in it, and New runs at the end of the handshake.
//
// Client returns an error that names the field and the fix if conn is nil, if nothing
// could resume under base, or if package tls12 cannot honour base.
func (c *Cache) Client(conn net.Conn, base *tls.Config, addr string) (*ClientConn, error) {
	if conn == nil {
		return nil, errors.New("halfshake: the net.Conn is nil")
	}
	d, err := c.destinationOf(base, addr, bySessionID)
	if err != nil {
		return nil, err
	}
	d.config = base.Clone()
	client := &ClientConn{settled: make(chan struct{}), sessions: &clientSessions{cache: c, destination: *d, selection: c.selected(base)}}
	h := c.newClientHandshake(d)
	h.info.RemoteAddr, h.info.LocalAddr = conn.RemoteAddr(), conn.LocalAddr()
	client.handshake = h
	config := base.Clone()
	config.ServerName, config.ClientSessionCache = d.serverName, nil
	client.Conn, err = tls12.Client(conn, config, client.choose())
	if err != nil {
		return nil, err
	}
	return client, nil
}

// choose returns the session to offer, or nil.
func (c *ClientConn) choose() (session *tls12.Session) {
	d := c.sessions
	if !d.offersAny() {
		return nil
	}
	f := d.cache.choose(c.handshake, d, func(f *found) (err error) {
		session, err = sessionByID(d.cache, f)
		return err
	})
	if f == nil {
		return nil
	}
	d.noteOffer(f)
	return session
}

var errNoSessionID = errors.New("halfshake: the session has no session id")

// sessionByID converts a client's session of the cache to a session of package tls12.
func sessionByID(c *Cache, f *found) (*tls12.Session, error) {
	id := f.field(fieldSessionID)
	if !validID(id) {
		return nil, errNoSessionID
	}
	session, err := sessionOf12(c, f)
	if err != nil {
		return nil, err
	}
	session.ID = id
	session.OCSPResponse, session.SignedCertificateTimestamps = f.state.Staple, f.state.Timestamps
	return session, nil
}

// Handshake runs the handshake if it has not yet run. Read and Write call it.
func (c *ClientConn) Handshake() error { return c.HandshakeContext(context.Background()) }

// HandshakeContext is Handshake with a context, which the New callback receives.
func (c *ClientConn) HandshakeContext(ctx context.Context) error {
	if !c.started.Swap(true) {
		defer close(c.settled)
		c.sessions.cache.counters.connect.Add(1)
		c.handshake.ctx = ctx
		err := c.Conn.HandshakeContext(ctx)
		c.settle(err)
		return err
	}
	select {
	case <-c.settled:
		return c.Conn.HandshakeContext(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settle records how the handshake went.
func (c *ClientConn) settle(err error) {
	d, h := c.sessions, c.handshake
	if err != nil {
		if h.parent != nil {
			d.failed()
		}
		return
	}
	cs := c.Conn.ConnectionState()
	h.negotiated(d.serverName, cs.NegotiatedProtocol, cs.Version)
	if !cs.DidResume {
		h.parent = nil // the server has refused it
	}
	d.connected(h, cs.DidResume)
	if session := c.Conn.Session(); session != nil && !cs.DidResume {
		c.made(session)
	}
}

// made caches the session of a full handshake.
func (c *ClientConn) made(s *tls12.Session) {
	st := stateOf12(s)
	st.Staple, st.Timestamps = s.OCSPResponse, s.SignedCertificateTimestamps
	state, err := sessionstate.BuildClient(st)
	if err != nil { // the chain is too long for the encoding's length fields
		c.handshake.notCached(RefusedTooLarge)
		return
	}
	c.sessions.made(c.handshake, state, appendField(nil, fieldSessionID, s.ID))
}

// Read reads application data; see [tls.Conn.Read].
func (c *ClientConn) Read(b []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// Write writes application data; see [tls.Conn.Write].
func (c *ClientConn) Write(b []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}
