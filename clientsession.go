package halfshake

import (
	"crypto/tls"
	"sync/atomic"
	"time"

	"github.com/halfshake/halfshake/internal/sessionstate"
)

// The kinds of fields of a client's session; see the encoding.
const (
	fieldTicket    uint16 = 2
	fieldSessionID uint16 = 3
)

// buildClient makes a session from what a client's engine made, or says why it must not be
// cached. In TLS 1.2, a new ticket for a session that resumed is for the same session,
// which keeps its id.
func (c *Cache) buildClient(h *handshake, scope [32]byte, encoded, fields []byte) (*Session, Refusal) {
	state, err := sessionstate.ParseClient(encoded)
	if err != nil || !usableSecret(state) {
		return nil, RefusedMalformed
	}
	if state.Version < tls.VersionTLS12 { // RFC 8996
		return nil, RefusedVersion
	}
	if state.Version == tls.VersionTLS12 && !state.ExtendedMasterSecret { // RFC 7627 section 5.4
		return nil, RefusedExtendedMasterSecret
	}
	now := c.now()
	s := &Session{
		version: state.Version, suite: state.CipherSuite,
		created: now.Unix(), expires: now.Unix() + c.timeout.Load(),
		serverName: h.info.ServerName, alpn: h.info.ALPN, scope: scope, state: encoded,
		proved: new(atomic.Bool),
	}
	s.proved.Store(true) // the server's Finished came before
	c.descend(s, h.parent)
	c.expireClient(s, state)
	if s.expires < s.created {
		return nil, RefusedExpired
	}
	if c.removed.Full(now) {
		return nil, RefusedRemovalsFull
	}
	if h.parent != nil && s.version == tls.VersionTLS12 {
		s.id = h.parent.id
	} else {
		s.id = string(c.newID(h))
	}
	s.serial = nextSerial()
	if r := c.annotate(h, s, h.parent != nil); r != 0 {
		return nil, r
	}
	s.fields = append(s.fields, fields...)
	if len(s.serverName) > maxName || len(s.alpn) > maxName || len(fields) > MaxSessionSize || s.encodedSize() > MaxSessionSize {
		return nil, RefusedTooLarge
	}
	return s, 0
}

// descend gives a session the lineage of its parent, or a new one if it has none.
func (c *Cache) descend(s, parent *Session) {
	if parent == nil {
		s.lineage = c.newLineage()
		return
	}
	s.lineage = parent.lineage
	if parent.limit > 0 {
		s.expireBy(time.Unix(parent.limit, 0))
	}
}

// expireClient ends a client's session with its lineage, its ticket and the server's
// certificate. crypto/tls does not show the lifetime hint of a TLS 1.2 ticket.
func (c *Cache) expireClient(s *Session, state *sessionstate.State) {
	if maxAge := c.cfg.maxLineageAge(false); maxAge > 0 {
		s.expireBy(s.LineageStart().Add(maxAge))
	}
	if s.version >= tls.VersionTLS13 {
		lifetime := int64(state.UseBy) - int64(state.CreatedAt) // by the clock of the tls.Config
		s.expires = min(s.expires, s.created+lifetime)
	}
	if _, notAfter, err := state.LeafValidity(); err == nil {
		s.expireBy(notAfter)
	}
}
