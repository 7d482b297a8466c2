package halfshake

import (
	"crypto/tls"
	"sync/atomic"
	"time"

	"github.com/halfshake/halfshake/internal/sessioncache"
	"github.com/halfshake/halfshake/internal/sessionstate"
)

// build makes a session from an engine's encoded state, or says why it must not be
// cached.
func (c *Cache) build(h *handshake, encoded, id []byte, resumed bool) (*Session, Refusal) {
	state, err := sessionstate.Parse(encoded)
	if err != nil {
		return nil, RefusedMalformed
	}
	// Do not cache sessions of TLS 1.0 and 1.1, which are deprecated. RFC 8996.
	if state.Version < tls.VersionTLS12 {
		return nil, RefusedVersion
	}
	// TLS 1.2 needs the extended master secret. RFC 7627 section 5.4.
	if state.Version == tls.VersionTLS12 && !state.ExtendedMasterSecret {
		return nil, RefusedExtendedMasterSecret
	}
	if h.policy.unscoped() {
		return nil, RefusedUnscoped
	}
	maxAge := c.cfg.maxLineageAge(len(state.Certificates) > 0)
	if resumed && h.parent == nil && (maxAge > 0 || h.lineagePromised(state)) { // the age of the lineage is unknown
		return nil, RefusedLineageAge
	}
	var lineage Lineage
	if resumed && h.parent != nil {
		lineage = h.parent.lineage
	} else {
		lineage = c.newLineage()
	}
	now := c.now()
	s := &Session{
		version: state.Version, suite: state.CipherSuite,
		created: now.Unix(), expires: now.Unix() + c.timeout.Load(), lineage: lineage,
		serverName: h.info.ServerName, alpn: h.info.ALPN,
		scope: h.policy.digest(h.info.ServerName), state: encoded,
		proved: new(atomic.Bool),
	}
	if maxAge > 0 {
		s.expireBy(lineage.Start().Add(maxAge))
	}
	if !h.policy.serverNotAfter.IsZero() {
		s.expireBy(h.policy.serverNotAfter)
	}
	if resumed && h.parent != nil && h.parent.limit > 0 {
		// The same client certificate, and the server's of then.
		s.expireBy(time.Unix(h.parent.limit, 0))
	} else if len(state.Certificates) > 0 {
		if _, notAfter, err := state.LeafValidity(); err == nil {
			s.expireBy(notAfter)
		}
	}
	if s.expires < s.created {
		return nil, RefusedExpired
	}
	if c.removed.Full(now) {
		return nil, RefusedRemovalsFull
	}
	if id == nil {
		id = c.newID(h)
	}
	s.serial, s.id = nextSerial(), string(id)
	if r := c.annotate(h, s, resumed); r != 0 {
		return nil, r
	}
	if len(s.serverName) > maxName || len(s.alpn) > maxName || s.encodedSize() > MaxSessionSize {
		return nil, RefusedTooLarge
	}
	return s, 0
}

// expireBy brings the session's expiry forward.
func (s *Session) expireBy(t time.Time) {
	s.expires = min(s.expires, t.Unix())
	if s.limit == 0 || t.Unix() < s.limit {
		s.limit = t.Unix()
	}
}

// newLineage returns the lineage of a full handshake that takes place now. It begins
// after the floors, whatever the clock says, so that they do not remove it.
func (c *Cache) newLineage() Lineage {
	l := newLineage(max(c.now().UnixMilli(), c.floor.Load()+1, c.callFloor()+1))
	c.saw(l)
	return l
}

// confirm records that a client resumed s, when it did, and proved that it holds s. A flood
// of new sessions then no longer reaches s in the internal cache.
func (c *Cache) confirm(s *Session, at time.Time) {
	if c.Mode()&ModeUpdateTime != 0 {
		if e, ok := c.internal.Get(s.id); ok && e.serial == s.serial {
			c.internal.Renew(sessionEntry{e.renewed(at)})
		}
	}
	c.internal.Promote(sessionEntry{s}, sessioncache.Used)
}
