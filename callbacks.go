package halfshake

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
)

// Callbacks are the application's part of a [Cache]: OpenSSL's
// SSL_CTX_sess_set_new_cb(3) family. A nil field is a callback that is not set.
//
// They run on the handshake's goroutine and never under a lock, so they may call
// the Cache (all but Close), and must honour their context. A panic or an error
// is logged, counted as [RefusedCallback] and else a miss: it never fails a
// handshake.
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
	// session that nothing else refuses; false is a full handshake.
	Admit func(context.Context, ConnInfo, *Session) bool
}

type (
	// A NewFunc is called once for each session established, after the session
	// is in the internal cache. Where it returns false the session is removed
	// again at once, with the cause [CauseDeclined].
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
	// RemoteAddr and LocalAddr are the connection's; nil under
	// [Cache.ServerConfig], whose hooks do not see the connection.
	RemoteAddr, LocalAddr net.Addr

	// ServerName is the name that the client asked for (SNI), or "".
	ServerName string
	// ALPN is the application protocol that was agreed, or "".
	ALPN string
	// Version is the protocol version, as in [tls.ConnectionState].
	Version uint16
}

// guard runs one call of the application's and turns a panic into an error.
func guard(name string, call func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s panicked: %v", name, r)
		}
	}()
	if err := call(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// faulted counts and logs a callback's failure. The application may have put the
// id into its error's text; it does not go on from here.
func (c *Cache) faulted(id string, err error) {
	c.counters.refuse(RefusedCallback)
	if c.log != nil {
		c.log.LogAttrs(c.ctx, slog.LevelWarn, "session callback failed", slog.String("error", withoutID(err.Error(), id)))
	}
}

// withoutID returns text with the usual spellings of id replaced by its ref.
func withoutID(text, id string) string {
	if len(id) == 0 {
		return text
	}
	raw := []byte(id)
	lower := hex.EncodeToString(raw)
	ref := "[session " + refOf(id) + "]"
	return strings.NewReplacer(
		id, ref, lower, ref, strings.ToUpper(lower), ref,
		fmt.Sprintf("% x", id), ref, fmt.Sprintf("% X", id), ref,
		fmt.Sprint(raw), ref, fmt.Sprintf("%q", id), ref, fmt.Sprintf("%+q", id), ref,
		base64.RawStdEncoding.EncodeToString(raw), ref, base64.RawURLEncoding.EncodeToString(raw), ref,
	).Replace(text)
}

var errBadID = errors.New("the id must have 1 to 32 bytes and belong to no other session")

// newID returns the id of a new session: the application's if it makes one that
// can be used, 32 random bytes otherwise.
func (c *Cache) newID(info ConnInfo) []byte {
	if c.callbacks.NewID == nil {
		return randomID()
	}
	var id []byte
	err := guard("NewID callback", func() (err error) {
		if id, err = c.callbacks.NewID(info); err != nil {
			return err
		}
		if c.internal.Has(string(id)) || !validID(id) {
			return errBadID
		}
		id = append([]byte(nil), id...)
		return nil
	})
	if err != nil {
		c.faulted(string(id), err)
		return randomID()
	}
	return id
}

func randomID() []byte {
	id := make([]byte, MaxIDSize)
	rand.Read(id)
	return id
}

// callNew reports whether the application keeps the session.
func (c *Cache) callNew(ctx context.Context, info ConnInfo, s *Session) (keep bool) {
	f := c.NewCallback()
	if f == nil {
		return true
	}
	if err := guard("New callback", func() error { keep = f(ctx, info, s); return nil }); err != nil {
		c.faulted(s.id, err)
		return false
	}
	return keep
}

// callGet returns the session that the application has for id, or nil.
func (c *Cache) callGet(ctx context.Context, info ConnInfo, id []byte) (s *Session) {
	f := c.GetCallback()
	if f == nil {
		return nil
	}
	own := append([]byte(nil), id...) // the callback may keep it or write to it
	err := guard("Get callback", func() (err error) { s, err = f(ctx, info, own); return err })
	if err != nil {
		c.faulted(string(id), err)
		return nil
	}
	return s
}

// callRemove tells the application that a session left the cache.
func (c *Cache) callRemove(cause Cause, s *Session) {
	f := c.RemoveCallback()
	if f == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), DefaultCallbackTimeout)
	defer cancel()
	if err := guard("Remove callback", func() error { f(ctx, c, s, cause); return nil }); err != nil {
		c.faulted(s.id, err)
	}
}

// callAdmit reports whether the application admits the resumption.
func (c *Cache) callAdmit(ctx context.Context, info ConnInfo, s *Session) (ok bool) {
	f := c.callbacks.Admit
	if f == nil {
		return true
	}
	if err := guard("Admit callback", func() error { ok = f(ctx, info, s); return nil }); err != nil {
		c.faulted(s.id, err)
		return false
	}
	return ok
}

// callAuthorize reports whether the application's own rung lets s pass.
func (c *Cache) callAuthorize(info ConnInfo, s *Session) (ok bool) {
	if c.authorize == nil {
		return true
	}
	if err := guard("Authorize", func() error { ok = c.authorize(info, s); return nil }); err != nil {
		c.faulted(s.id, err)
		return false
	}
	return ok
}

// SetNew sets the New callback; nil unsets it. Like the other setters it acts on
// connections that are already open.
func (c *Cache) SetNewCallback(f NewFunc) { c.onNew.Store(&f) }

// NewCallback returns the New callback, nil when it is not set.
func (c *Cache) NewCallback() NewFunc { return *c.onNew.Load() }

// SetGet sets the Get callback; nil unsets it.
func (c *Cache) SetGetCallback(f GetFunc) { c.onGet.Store(&f) }

// GetCallback returns the Get callback, nil when it is not set.
func (c *Cache) GetCallback() GetFunc { return *c.onGet.Load() }

// SetRemove sets the Remove callback; nil unsets it.
func (c *Cache) SetRemoveCallback(f RemoveFunc) { c.onRemove.Store(&f) }

// RemoveCallback returns the Remove callback, nil when it is not set.
func (c *Cache) RemoveCallback() RemoveFunc { return *c.onRemove.Load() }
