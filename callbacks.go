package halfshake

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"net"
	"time"
)

// Callbacks connect a [Cache] to the application, like OpenSSL's
// SSL_CTX_sess_set_new_cb(3) family. A nil field means that the callback is not set.
//
// Callbacks run on the handshake's goroutine and never under a lock, so they may call
// every method of the Cache except Close. They must honour their context; all callbacks
// of a handshake share one deadline ([Config.CallbackTimeout]). A panic or an error
// never fails a handshake: it is treated as a miss and counted as [RefusedCallback].
// The Cache logs when a callback begins to fail, every ten seconds with a count while it
// goes on failing, and when it works again.
type Callbacks struct {
	// NewID makes the id of a new session: 1 to 32 bytes that nobody can guess
	// and that no other session has. If the id has another length, or a session in
	// the internal cache has it already, 32 random bytes are used instead.
	NewID func(ConnInfo) ([]byte, error)
	// New is called for each session that is established. It returns whether to
	// keep the session; see [NewFunc].
	New NewFunc
	// Get looks up a session that the internal cache does not hold.
	Get GetFunc
	// Find is to a client what Get is to a server: it returns the sessions of the
	// external cache that a client may offer, the best first. See [FindFunc].
	Find FindFunc
	// Remove is called for each session that leaves the cache.
	Remove RemoveFunc
	// End is called when [Cache.RemoveLineage] ends a lineage, or when a [Cache.Flush]
	// of everything ends every session of the Scope. It must record the removal so
	// that the external cache does not return any of these sessions on any machine.
	// It returns an error if it could not.
	End func(context.Context, Removal) error
	// Floor returns the latest time up to which the external cache takes all lineages of
	// a Scope to have ended, or the zero time if it takes none. A new lineage begins
	// later, so that it is not one of them where the clock was set back or another
	// machine's was ahead. An external cache that keeps the Removals of a whole Scope
	// returns their latest Before. Floor is called in every full handshake and must not
	// wait for anything.
	Floor func(ScopeID) time.Time
	// Admit is the last check of every hit, internal hits included. It is called only
	// for a session that passed all other checks; false means a full handshake. Admit
	// may consume the session. If a Get or Find callback is set too, Admit must consume
	// a session whose [Session.SingleUse] is true: it must return true for that session
	// at most once across all machines. If Get or Find is set and Admit is not, such
	// sessions do not resume.
	Admit func(context.Context, ConnInfo, *Session) bool
}

type (
	// A NewFunc is called once for each session established, after the session
	// is in the internal cache. If it returns false, the session is removed again at
	// once. If the session had been stored in the internal cache, Remove is then
	// called with [CauseDeclined]. In OpenSSL the result says only whether the
	// callback has kept the pointer: the callbacks of nginx and httpd return 0 for
	// every session, and must return true here.
	NewFunc func(context.Context, ConnInfo, *Session) (keep bool)

	// A GetFunc returns the session with the id that a client proposed, or nil, nil
	// if it does not exist. It is called when the internal cache has no such
	// session, for every look-up under [ModeNoInternalLookup], and in [ModeOff].
	// The id is untrusted: any 1 to 32 bytes.
	GetFunc func(ctx context.Context, info ConnInfo, id []byte) (*Session, error)

	// A FindFunc returns sessions that [Cache.ClientConfig] has made and that have not
	// been removed since: those whose [Session.Scope] is the given one, the newest first,
	// or none. Only the first four are looked at. It must not take them out of the
	// external cache; Admit does that. It is called for a client's handshake if the
	// internal cache has no session to offer.
	FindFunc func(ctx context.Context, info ConnInfo, scope [32]byte) ([]*Session, error)

	// A RemoveFunc is called when a session has left the cache; the Cause says why.
	// [Cache.Remove] also calls it for a session that the internal cache did not
	// hold, so that an external copy is deleted too. Not every cause ends the
	// session: an external cache deletes its copy only if [Cause.EndsSession] is true.
	RemoveFunc func(context.Context, *Cache, *Session, Cause)
)

// ConnInfo is what is known of a connection when a callback is called.
type ConnInfo struct {
	// RemoteAddr and LocalAddr are the connection's addresses. Under
	// [Cache.ServerConfig] they are nil for clients that send no server name.
	RemoteAddr, LocalAddr net.Addr

	// ServerName is the name that the client asked for (SNI), or "".
	ServerName string
	// ALPN is the application protocol that was agreed, or "".
	ALPN string
	// Version is the protocol version, as in [tls.ConnectionState].
	Version uint16
}

// newID returns the id of a new session: the application's if it is usable, 32 random
// bytes otherwise.
func (c *Cache) newID(h *handshake) []byte {
	f := c.cfg.Callbacks.NewID
	if f == nil {
		return randomID()
	}
	var id []byte
	err := c.guard(callbackNewID, "", func() (err error) {
		if id, err = f(h.info); err != nil {
			return errors.New(withoutID(err.Error(), string(id)))
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

// callFind returns the sessions that the application has for a client.
func (c *Cache) callFind(h *handshake, scope [32]byte) (found []*Session) {
	f := c.cfg.Callbacks.Find
	if f == nil {
		return nil
	}
	h.callbacks(func(ctx context.Context) {
		err := c.guard(callbackFind, "", func() (err error) { found, err = f(ctx, h.info, scope); return err })
		if err != nil {
			found = nil
		}
	})
	return found[:min(len(found), maxOffers)]
}

// callRemove tells the application that a session left the cache. It returns false if
// the callback failed.
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

// callFloor returns the external cache's floor in Unix milliseconds, or 0 for none.
func (c *Cache) callFloor() (floor int64) {
	if f := c.cfg.Callbacks.Floor; f != nil {
		c.guard(callbackFloor, "", func() error {
			if t := f(c.scopeID); !t.IsZero() {
				floor = t.UnixMilli()
			}
			return nil
		})
	}
	return floor
}

var errNoEnd = errors.New("halfshake: the removal holds only in this process: Callbacks.Get is set and Callbacks.End is not, so the external cache was not told")

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

// callAuthorize reports whether Config.Authorize lets s pass.
func (c *Cache) callAuthorize(h *handshake, s *Session) (ok bool) {
	f := c.cfg.Authorize
	if f == nil {
		return true
	}
	c.guard(callbackAuthorize, s.id, func() error { ok = f(h.info, s); return nil })
	return ok
}

// callVerifyPeerCertificate calls the tls.Config's VerifyPeerCertificate as crypto/tls
// does in a full handshake, even if the client sent no certificate. An error that it
// returns refuses the session and does not count as a failed callback.
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

// SetNewCallback sets the New callback; nil unsets it. Like the other setters it also
// affects connections that are already open.
func (c *Cache) SetNewCallback(f NewFunc) { c.onNew.Store(&f) }

// NewCallback returns the New callback, or nil if it is not set.
func (c *Cache) NewCallback() NewFunc { return *c.onNew.Load() }

// SetGetCallback sets the Get callback; nil unsets it.
func (c *Cache) SetGetCallback(f GetFunc) { c.onGet.Store(&f) }

// GetCallback returns the Get callback, or nil if it is not set.
func (c *Cache) GetCallback() GetFunc { return *c.onGet.Load() }

// SetRemoveCallback sets the Remove callback; nil unsets it.
func (c *Cache) SetRemoveCallback(f RemoveFunc) { c.onRemove.Store(&f) }

// RemoveCallback returns the Remove callback, or nil if it is not set.
func (c *Cache) RemoveCallback() RemoveFunc { return *c.onRemove.Load() }
