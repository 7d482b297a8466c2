package halfshake

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"net"
)

// Callbacks are the application's part of a [Cache]: OpenSSL's
// SSL_CTX_sess_set_new_cb(3) family. A nil field is a callback that is not set.
//
// They run on the handshake's goroutine and never under a lock, so they may call
// the Cache (all but Close). They must honour their context, whose one deadline
// holds for all callbacks of a handshake ([Config.CallbackTimeout]). A panic or an
// error never fails a handshake: it is a miss, counted as [RefusedCallback], and
// logged when a callback begins to fail, every ten seconds with a count, and when it
// has recovered.
type Callbacks struct {
	// NewID makes the id of a new session: 1 to 32 bytes that nobody can guess
	// and that no other session has. What is not that, or is the id of a
	// session in the internal cache, is replaced by 32 random bytes.
	NewID func(ConnInfo) ([]byte, error)
	// New is called for each session that is established; it returns whether
	// to keep it. [NewFunc] has the rest.
	New NewFunc
	// Get is asked for a session that the internal cache does not hold.
	Get GetFunc
	// Remove is told of each session that leaves the cache.
	Remove RemoveFunc
	// End is told that a lineage, or every session of the Scope, has ended: by
	// [Cache.RemoveLineage] or by a [Cache.Flush] of everything. It records that,
	// so that none of these sessions is found again in the external cache, on any
	// machine, and returns an error where it could not.
	End func(context.Context, Removal) error
	// Admit is asked last, on every hit, internal ones too, and only for a
	// session that nothing else refuses; false is a full handshake. It may consume
	// the session, and beside a Get callback it must consume one whose
	// [Session.EarlyData] is true: return true for it at most once, on any machine.
	// Without an Admit, such sessions do not resume beside a Get callback.
	Admit func(context.Context, ConnInfo, *Session) bool
}

type (
	// A NewFunc is called once for each session established, after the session
	// is in the internal cache. Where it returns false the session is removed
	// again at once, and Remove is told so, with [CauseDeclined], if the session had
	// been stored inside. In OpenSSL the result says only whether the callback has
	// kept the pointer: the callbacks of nginx and httpd return 0 for every session,
	// and must return true here.
	NewFunc func(context.Context, ConnInfo, *Session) (keep bool)

	// A GetFunc returns the session of the id that a client proposed; nil, nil
	// when there is none. It is called when the internal cache has no such
	// session, for every look-up under [ModeNoInternalLookup], and in [ModeOff].
	// The id is hostile: any 1 to 32 bytes.
	GetFunc func(ctx context.Context, info ConnInfo, id []byte) (*Session, error)

	// A RemoveFunc is told that a session left the cache, and why. It is also
	// called by [Cache.Remove] for a session that the internal cache did not
	// hold, so that an external copy goes too. Not every cause ends the session:
	// an external cache deletes its copy where [Cause.EndsSession] says so.
	RemoveFunc func(context.Context, *Cache, *Session, Cause)
)

// ConnInfo is what is known of a connection when a callback is called.
type ConnInfo struct {
	// RemoteAddr and LocalAddr are the connection's. Under [Cache.ServerConfig] they
	// are known for clients that send a server name, and else nil.
	RemoteAddr, LocalAddr net.Addr

	// ServerName is the name that the client asked for (SNI), or "".
	ServerName string
	// ALPN is the application protocol that was agreed, or "".
	ALPN string
	// Version is the protocol version, as in [tls.ConnectionState].
	Version uint16
}

// newID returns the id of a new session: the application's if it makes one that
// can be used, 32 random bytes otherwise.
func (c *Cache) newID(h *handshake) []byte {
	f := c.cfg.Callbacks.NewID
	if f == nil {
		return randomID()
	}
	var id []byte
	err := c.guard(callbackNewID, "", func() (err error) {
		if id, err = f(h.info); err != nil {
			return err
		}
		if !validID(id) || c.internal.Has(string(id)) {
			return errBadID
		}
		id = append([]byte(nil), id...)
		return nil
	})
	if err != nil {
		return randomID()
	}
	return id
}

var errBadID = errors.New("the id must have 1 to 32 bytes and belong to no other session")

func randomID() []byte {
	id := make([]byte, MaxIDSize)
	rand.Read(id)
	return id
}

// callNew reports whether the application keeps the session.
func (c *Cache) callNew(h *handshake, s *Session) (keep bool) {
	f := c.NewCallback()
	if f == nil {
		return true
	}
	h.callbacks(func(ctx context.Context) {
		c.guard(callbackNew, s.id, func() error { keep = f(ctx, h.info, s); return nil })
	})
	return keep
}

// callGet returns the session that the application has for id, or nil.
func (c *Cache) callGet(h *handshake, id []byte) (s *Session) {
	f := c.GetCallback()
	if f == nil {
		return nil
	}
	own := append([]byte(nil), id...) // the callback may keep it or write to it
	h.callbacks(func(ctx context.Context) {
		err := c.guard(callbackGet, string(id), func() (err error) { s, err = f(ctx, h.info, own); return err })
		if err != nil {
			s = nil
		}
	})
	return s
}

// callRemove tells the application that a session left the cache, and reports
// whether it took note.
func (c *Cache) callRemove(ctx context.Context, cause Cause, s *Session) bool {
	f := c.RemoveCallback()
	if f == nil {
		return true
	}
	return c.guard(callbackRemove, s.id, func() error { f(ctx, c, s, cause); return nil }) == nil
}

// callEnd tells the application that a lineage or a Scope has ended.
func (c *Cache) callEnd(ctx context.Context, r Removal) error {
	f := c.cfg.Callbacks.End
	if f == nil {
		if c.GetCallback() == nil {
			return nil
		}
		return errNoEnd
	}
	return c.guard(callbackEnd, "", func() error { return f(ctx, r) })
}

var errNoEnd = errors.New("halfshake: the removal holds in this process alone: Callbacks.Get is set and Callbacks.End is not, so the external cache was not told")

// callAdmit reports whether the application admits the resumption.
func (c *Cache) callAdmit(h *handshake, s *Session) (ok bool) {
	f := c.cfg.Callbacks.Admit
	if f == nil {
		return true
	}
	h.callbacks(func(ctx context.Context) {
		c.guard(callbackAdmit, s.id, func() error { ok = f(ctx, h.info, s); return nil })
	})
	return ok
}

// callAuthorize reports whether the application's own rung lets s pass.
func (c *Cache) callAuthorize(h *handshake, s *Session) (ok bool) {
	f := c.cfg.Authorize
	if f == nil {
		return true
	}
	c.guard(callbackAuthorize, s.id, func() error { ok = f(h.info, s); return nil })
	return ok
}

// callVerifyPeerCertificate asks the tls.Config's VerifyPeerCertificate what crypto/tls
// asks it in a full handshake, also for a client that sent no certificate. What it
// answers is no failure of the callback's.
func (c *Cache) callVerifyPeerCertificate(p proposal, f *found, authorities [][]*x509.Certificate) (ok bool) {
	var chains [][]*x509.Certificate
	if len(authorities) > 0 {
		leaf, err := f.state.Leaf()
		if err != nil {
			return false
		}
		for _, chain := range authorities {
			chains = append(chains, append([]*x509.Certificate{leaf}, chain...))
		}
	}
	sent := make([][]byte, len(f.state.Certificates))
	for i, der := range f.state.Certificates {
		sent[i] = bytes.Clone(der) // the function may keep it or write to it
	}
	c.guard(callbackVerifyPeerCertificate, f.id, func() error {
		ok = p.policy.config.VerifyPeerCertificate(sent, chains) == nil
		return nil
	})
	return ok
}

// SetNewCallback sets the New callback; nil unsets it. Like the other setters it acts
// on connections that are already open.
func (c *Cache) SetNewCallback(f NewFunc) { c.onNew.Store(&f) }

// NewCallback returns the New callback, nil when it is not set.
func (c *Cache) NewCallback() NewFunc { return *c.onNew.Load() }

// SetGetCallback sets the Get callback; nil unsets it.
func (c *Cache) SetGetCallback(f GetFunc) { c.onGet.Store(&f) }

// GetCallback returns the Get callback, nil when it is not set.
func (c *Cache) GetCallback() GetFunc { return *c.onGet.Load() }

// SetRemoveCallback sets the Remove callback; nil unsets it.
func (c *Cache) SetRemoveCallback(f RemoveFunc) { c.onRemove.Store(&f) }

// RemoveCallback returns the Remove callback, nil when it is not set.
func (c *Cache) RemoveCallback() RemoveFunc { return *c.onRemove.Load() }
