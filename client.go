package halfshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/halfshake/halfshake/internal/keylog"
	"github.com/halfshake/halfshake/internal/sessioncache"
	"github.com/halfshake/halfshake/internal/sessionstate"
)

// ClientConfig returns a clone of base for clients that dial addr, host:port, whose
// sessions live in the cache. It is for tls.Dial, net/http, quic-go and everything else
// that takes a client's *tls.Config. Config.Mode must contain [ModeClient]. The clone has
// base's ServerName or else addr's host, and must be used for no other server.
//
// A session is offered only under what it was made under: the server name, the address,
// the root certificates, InsecureSkipVerify, the client's Certificates, Config.Scope and
// Config.TrustID. Of RootCAs only the subjects can be compared. But the server's chain must
// still be valid, and end in a root that is trusted now. VerifyPeerCertificate, which
// crypto/tls calls in full handshakes only, is asked before a session is offered;
// VerifyConnection is called in every handshake. With GetClientCertificate, Config.TrustID
// must say who the client is, because nobody knows what that function will return.
//
// The cache uses base as it is now. To change what a session depends on, such as RootCAs
// or Certificates, change base and call ClientConfig again. Do not change the clone.
//
// A session of TLS 1.3 is offered once: it is removed, with [CauseUsed], before the
// ClientHello is sent. A session of TLS 1.2 is offered until it expires, and a new ticket
// for it takes its place under the same id. The server refuses a session by a full
// handshake. A handshake that fails costs the session that it offered.
//
// The New callback runs for each ticket: in TLS 1.2 at the end of the handshake, in TLS
// 1.3 when the connection's Read meets the ticket. It must not use the connection. Get is
// not called; see [Callbacks.Find].
//
// ClientConfig returns an error that names the field and the fix if nothing could resume
// under base, or nothing could resume safely.
func (c *Cache) ClientConfig(base *tls.Config, addr string) (*tls.Config, error) {
	d, err := c.destinationOf(base, addr, byTicket)
	if err != nil {
		return nil, err
	}
	clone := base.Clone()
	d.config = base.Clone() // the application may change its own later
	sessions := &clientSessions{cache: c, destination: *d, selection: c.selected(base)}
	clone.ServerName = d.serverName
	clone.KeyLogWriter = keylog.Writer(base.KeyLogWriter) // which package tls12 may write to as well
	clone.ClientSessionCache, clone.VerifyConnection = sessions, sessions.verify
	return clone, nil
}

// Offer selects the session that a client offers in its next handshake, as
// SSL_set_session(3) does. It works in every mode. The result is for the
// ClientSessionCache of the base of [Cache.ClientConfig], which then offers this session
// or none, and only if it matches. A session of TLS 1.3 is offered in one handshake, so do
// not select it again. As with [Cache.Add], the application's last word stands: a session
// that [Cache.Remove] has removed before can be selected, but none of a removed lineage.
//
// The result can also be the ClientSessionCache of any other tls.Config. The cache then
// sees only the server's name. crypto/tls checks the roots, but nobody checks the address
// and the client's certificate: as in C, that is up to the application. New sessions are
// then cached only if the selected one resumed, and ConnectGood, Hits and Misses do not
// count.
//
// A nil session, or one that is not a client's, offers nothing.
func (c *Cache) Offer(s *Session) tls.ClientSessionCache {
	sessions := &clientSessions{cache: c, selection: &selection{session: s}}
	if s != nil {
		// The configuration is unknown, and crypto/tls checks what it says.
		p := policy{config: &tls.Config{InsecureSkipVerify: true}, scopeID: s.ScopeID()}
		sessions.destination = destination{policy: p, serverName: s.serverName, scope: s.scope}
	}
	return sessions
}

// A selection is the session that the application selected.
type selection struct {
	session *Session
	used    atomic.Bool // it may not be offered again
}

// selected returns the selection of Offer in a configuration, or nil.
func (c *Cache) selected(config *tls.Config) *selection {
	if sessions, ok := config.ClientSessionCache.(*clientSessions); ok && sessions.cache == c {
		return sessions.selection
	}
	return nil
}

// clientSessions are the sessions of one destination, as crypto/tls asks for them. One may
// serve many connections at once.
type clientSessions struct {
	cache *Cache
	destination
	selection *selection // nil if the cache selects

	mu       sync.Mutex
	offered  int        // handshakes that offer a session and whose end is not known
	doubtful []*Session // of TLS 1.2, offered and not known to be good
}

var _ tls.ClientSessionCache = (*clientSessions)(nil)

// Get is called once for each handshake, before the ClientHello is sent. key is the
// server's name, or its address without a name.
func (d *clientSessions) Get(key string) (*tls.ClientSessionState, bool) {
	c := d.cache
	c.counters.connect.Add(1)
	if key != d.serverName || !d.offersAny() {
		return nil, false
	}
	var cs *tls.ClientSessionState
	var server []*x509.Certificate
	h := c.newClientHandshake(&d.destination)
	f := c.choose(h, d, func(f *found) (err error) {
		ticket := f.field(fieldTicket)
		if len(ticket) == 0 { // which a TLS 1.3 server would take for an error
			return errNoTicket
		}
		cs, server, err = sessionstate.Offerable(f.Session.state, ticket)
		return err
	})
	if f == nil {
		return nil, false
	}
	c.connections.put(server, h)
	d.noteOffer(f)
	return cs, true
}

// offersAny reports whether a session may be offered at all.
func (d *clientSessions) offersAny() bool {
	return !d.cache.closed.Load() && (d.selection != nil || d.cache.Mode().stores(ModeClient))
}

var errNoTicket = errors.New("halfshake: the session has no ticket")

func (c *Cache) newClientHandshake(d *destination) *handshake {
	h := &handshake{cache: c, side: ModeClient, policy: d.policy, ctx: c.ctx}
	h.info.ServerName = d.serverName
	return h
}

// Put is called with a session for each ticket, and with nil when a handshake that offered
// a session has failed, or crypto/tls will not offer it any more.
func (d *clientSessions) Put(key string, cs *tls.ClientSessionState) {
	if key != d.serverName {
		return
	}
	ticket, ss, err := cs.ResumptionState()
	switch {
	case err != nil:
	case ss == nil:
		d.failed()
	case len(ticket) > 0: // an empty one says to keep the old (RFC 5077 section 3.3)
		state, err := ss.Bytes()
		if err != nil {
			return
		}
		d.made(d.cache.connections.get(sessionstate.PeerCertificatesOf(ss)), state, appendField(nil, fieldTicket, ticket))
	}
}

// made caches a session. h is the connection that made it; nil if it is not known.
func (d *clientSessions) made(h *handshake, state, fields []byte) {
	if h == nil { // a full handshake under a configuration that is not the cache's
		d.cache.newClientHandshake(&d.destination).notCached(RefusedScope)
		return
	}
	if !h.stores() {
		return
	}
	s, r := d.cache.buildClient(h, d.scope, state, fields)
	if r != 0 {
		h.notCached(r)
		return
	}
	part := sessioncache.Proved
	if h.parent != nil {
		part = sessioncache.Used
	}
	h.establish(s, part)
}

// verify is [tls.Config.VerifyConnection]. It calls the application's own first. In TLS 1.3
// the server's Finished comes later.
func (d *clientSessions) verify(cs tls.ConnectionState) error {
	if next := d.config.VerifyConnection; next != nil {
		if err := next(cs); err != nil {
			return err
		}
	}
	c := d.cache
	h := c.connections.get(cs.PeerCertificates)
	if h == nil {
		h = c.newClientHandshake(&d.destination)
		c.connections.put(cs.PeerCertificates, h)
	}
	h.negotiated(d.serverName, cs.NegotiatedProtocol, cs.Version)
	d.connected(h, cs.DidResume)
	return nil
}

// connected counts a handshake that went well. A handshake that offered a session and did
// not resume is a miss. Of handshakes at the same time crypto/tls does not say which one
// offered a session.
func (d *clientSessions) connected(h *handshake, resumed bool) {
	n := &d.cache.counters
	offered := d.resolve(h)
	switch {
	case resumed:
		h.hit()
		if h.parent != nil {
			d.cache.confirm(h.parent, h.now())
		}
	case offered:
		n.misses.Add(1)
	}
	h.flushAtTimes(n.connectGood.Add(1))
	h.logHandshake(resumed)
}

// noteOffer notes that a session has been offered.
func (d *clientSessions) noteOffer(f *found) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.offered++
	if !f.SingleUse() {
		d.doubtful = append(d.withoutDoubt(f.id), f.Session)
		d.doubtful = d.doubtful[max(0, len(d.doubtful)-maxOffers):]
	}
}

// resolve notes that a handshake went well, and reports whether one was under way that
// offered a session. What it resumed is good.
func (d *clientSessions) resolve(h *handshake) (offered bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if h.parent != nil {
		d.doubtful = d.withoutDoubt(h.parent.id)
	}
	offered = d.offered > 0
	d.offered = max(0, d.offered-1)
	return offered
}

func (d *clientSessions) withoutDoubt(id string) []*Session {
	return slices.DeleteFunc(d.doubtful, func(s *Session) bool { return s.id == id })
}

// failed removes the sessions that a failed handshake may have offered, as libssl does
// after an alert. A server must abort a handshake whose binder is wrong (RFC 8446 section
// 4.2.11), so a session with a wrong secret would fail for ever. crypto/tls does not say
// which session it was. One of TLS 1.3 is gone already. Of TLS 1.2 it is one of those that
// are not known to be good; there is seldom more than one.
func (d *clientSessions) failed() {
	d.mu.Lock()
	doubtful := d.doubtful
	d.doubtful, d.offered = nil, max(0, d.offered-1)
	d.mu.Unlock()
	d.cache.withCallbackContext(func(ctx context.Context) {
		for _, s := range doubtful {
			d.cache.remove(ctx, s, CauseAlert)
		}
	})
}

// String names the type alone; it and Format keep the sessions from every verb.
func (d *clientSessions) String() string { return "halfshake.clientSessions" }

// Format writes the same as String for every verb.
func (d *clientSessions) Format(f fmt.State, _ rune) { io.WriteString(f, d.String()) }
