package halfshake

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync/atomic"

	"github.com/halfshake/halfshake/internal/sessionstate"
)

// An established session is one that an engine has just made. Every engine hands
// its sessions to [Cache.newSession] and [Cache.establish], the other door.
type established struct {
	info   ConnInfo
	policy policy
	state  []byte // tls.SessionState.Bytes

	// id is the one that the engine has announced already; nil if it has none.
	id []byte

	// parent is the session that the handshake resumed; nil after a full one.
	parent *Session
}

// newSession makes a session of what an engine agreed. It returns nil if there
// is nothing to cache or the session must not be; the reason is counted.
func (c *Cache) newSession(e established) *Session {
	if !c.Mode().serverStores() || c.closed.Load() {
		return nil
	}
	s, r := c.buildSession(e)
	if r != 0 {
		c.notCached(e.info, r)
		return nil
	}
	return s
}

// announcedID returns the id of a session that an engine is about to make, for one
// that has to name it before there is any; nil if none would be cached.
func (c *Cache) announcedID(info ConnInfo, p policy) []byte {
	if !c.Mode().serverStores() || c.closed.Load() {
		return nil
	}
	if p.unscoped() {
		c.notCached(info, RefusedUnscoped)
		return nil
	}
	return c.newID(info)
}

// notCached counts and logs why a new session is not cached.
func (c *Cache) notCached(info ConnInfo, r Refusal) {
	c.counters.refuse(r)
	if c.log != nil {
		c.log.LogAttrs(c.ctx, slog.LevelDebug, "session not cached", slog.String("why", r.String()), addrAttr(info.RemoteAddr))
	}
}

func (c *Cache) buildSession(e established) (*Session, Refusal) {
	state, err := sessionstate.Parse(e.state)
	if err != nil {
		return nil, RefusedMalformed
	}
	// RFC 8996: TLS 1.0 and 1.1 are not worth a cache.
	if state.Version < tls.VersionTLS12 {
		return nil, RefusedVersion
	}
	if state.Version == tls.VersionTLS12 && !state.ExtendedMasterSecret { // RFC 7627 section 5.4
		return nil, RefusedExtendedMasterSecret
	}
	if e.policy.unscoped() {
		return nil, RefusedUnscoped
	}
	now := c.time().Unix()
	id := e.id
	if id == nil {
		id = c.newID(e.info)
	}
	s := &Session{
		serial: nextSerial(), id: string(id), version: state.Version, suite: state.CipherSuite,
		created: now, expires: now + c.timeout.Load(), lineage: newLineage(c.time().UnixMilli()), proved: new(atomic.Bool),
		serverName: e.info.ServerName, alpn: e.info.ALPN,
		scope: e.policy.digest(e.info.ServerName), state: e.state,
	}
	if e.parent != nil {
		s.lineage = e.parent.lineage
	}
	if len(s.serverName) > 255 || len(s.alpn) > 255 || s.encodedSize() > MaxSessionSize {
		return nil, RefusedTooLarge
	}
	return s, 0
}

// establish puts a new session into the cache and tells the application, which
// may decline it. One born from a resumed handshake need not prove its use.
func (c *Cache) establish(ctx context.Context, info ConnInfo, s *Session, proved bool) {
	mode := c.Mode()
	if !mode.serverStores() || c.closed.Load() {
		return
	}
	if mode.internalKeeps() {
		c.insert(s, proved)
	}
	if !c.callNew(ctx, info, s) {
		c.remove(s, CauseDeclined)
	}
}

// completed counts a handshake that the peer and the application agreed to, and
// clears the cache at every 255th.
func (c *Cache) completed(resumed bool) {
	if resumed {
		c.counters.hits.Add(1)
	}
	if c.counters.acceptGood.Add(1)%255 == 0 && c.Mode().autoClears() {
		c.clearSoon()
	}
}

// confirm records that a connection really resumed s: it is in use, and moves to
// the part of the internal cache that a flood of new sessions does not reach.
func (c *Cache) confirm(s *Session) {
	if c.Mode()&ModeUpdateTime != 0 {
		c.internal.Renew(sessionEntry{s.renewed(c.time())})
	}
	c.internal.Promote(sessionEntry{s})
}

func versionName(v uint16) string { return tls.VersionName(v) }

// addrAttr names the client in a log line, where it is known.
func addrAttr(a net.Addr) slog.Attr {
	if a == nil {
		return slog.Attr{}
	}
	return slog.String("remote", a.String())
}
