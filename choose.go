package halfshake

import (
	"context"
	"crypto/tls"
	"iter"
	"slices"
	"time"

	"github.com/halfshake/halfshake/internal/sessionstate"
)

// choose returns the session that a client offers, or nil: of those in the internal cache
// and then of those of the Find callback the first that passes every check. decode makes
// of it what the engine takes. A session that may be used once is taken, so that no other
// connection, and no other process, offers it.
func (c *Cache) choose(h *handshake, d *clientSessions, decode func(*found) error) *found {
	h.asked = c.removed.Mark()
	for f := range c.candidates(h, d) {
		if r := c.refuseOffer(h, d, f, decode); r != 0 {
			c.refused(h, f, r)
			continue
		}
		h.proposed, h.parent, h.taken = true, f.Session.withoutSecret(), f.SingleUse()
		switch {
		case h.taken:
			h.removing(func(ctx context.Context) { c.callRemove(ctx, CauseUsed, f.Session) })
		case !f.internal && d.selection == nil && c.Mode().internalKeeps(ModeClient):
			c.keepCopy(h, f.Session)
		}
		return f
	}
	return nil
}

// candidates iterates over the sessions that might be offered.
func (c *Cache) candidates(h *handshake, d *clientSessions) iter.Seq[*found] {
	return func(yield func(*found) bool) {
		if d.selection != nil {
			if s := d.selection.session; s != nil && !d.selection.used.Load() {
				yield(&found{Session: s})
			}
			return
		}
		for _, id := range c.offers.of(d.scope) {
			e, ok := c.internal.Get(id)
			if !ok {
				c.offers.drop(d.scope, id)
			} else if !yield(&found{Session: e.Session, internal: true}) {
				return
			}
		}
		for _, s := range c.callFind(h, d.scope) {
			if s == nil {
				continue
			}
			c.counters.cbHits.Add(1)
			c.saw(s.lineage)
			if !yield(&found{Session: s}) {
				return
			}
		}
	}
}

// refuseOffer is the client's ladder: the first reason why it must not offer a session, or
// 0. It decodes the session. Everything that crypto/tls asks is asked here first, because
// the last rung takes a session that may be used once.
func (c *Cache) refuseOffer(h *handshake, d *clientSessions, f *found, decode func(*found) error) Refusal {
	s := f.Session
	// A session is offered only under the name, the address, the roots and the client
	// certificate that it was made under; see clientDigest. A server's session is never
	// offered.
	if !s.Client() || s.scope != d.scope {
		return RefusedScope
	}
	h.info.Version = s.version
	if c.isRemoved(s, h.asked) {
		return RefusedRemoved
	}
	// The secret must have the length that the version requires, and not be all zeros.
	// CVE-2026-34873 (Mbed TLS), CVE-2020-13777 (GnuTLS).
	state, err := sessionstate.ParseClient(s.state)
	if err != nil || state.Version != s.version || state.CipherSuite != s.suite || !usableSecret(state) {
		return RefusedMalformed
	}
	f.state = state
	if r := c.refuseToday(h, d, f); r != 0 {
		return r
	}
	if decode(f) != nil {
		return RefusedMalformed
	}
	if !c.callAuthorize(h, s) {
		return RefusedUnauthorized
	}
	// Last, because it consumes the session.
	if !c.callAdmit(h, s) || s.SingleUse() && !c.takeOffer(d, f) {
		return RefusedNotAdmitted
	}
	if c.isRemoved(s, h.asked) { // while the callbacks ran
		return RefusedRemoved
	}
	return 0
}

// refuseToday has the rungs that depend on the time and on the configuration.
func (c *Cache) refuseToday(h *handshake, d *clientSessions, f *found) Refusal {
	s, state := f.Session, f.state
	// RFC 8446 section 4.6.1, RFC 5246 section F.1.4.
	if !d.permitsVersion(s.version) {
		return RefusedVersion
	}
	// Limit the total lifetime of keying material. RFC 9846 section 4.6.1.
	now := c.now()
	if maxAge := c.cfg.maxLineageAge(false); maxAge > 0 && now.Sub(s.LineageStart()) > maxAge {
		return RefusedLineageAge
	}
	// Offer nothing after the cache's timeout, the server's lifetime hint (RFC 8446
	// section 4.6.1), which expires covers as well, or seven days.
	theirs := d.now()
	if s.expiredAt(now) || s.version >= tls.VersionTLS13 && theirs.After(time.Unix(int64(state.UseBy), 0)) ||
		theirs.Sub(time.Unix(int64(state.CreatedAt), 0)) > MaxTimeout {
		return RefusedExpired
	}
	// A TLS 1.2 server must choose the session's own suite, so it must be offered. RFC
	// 5246 section 7.4.1.2. crypto/tls always offers a TLS 1.3 suite of either hash.
	if suites := d.config.CipherSuites; s.version == tls.VersionTLS12 && suites != nil && !slices.Contains(suites, s.suite) {
		return RefusedCipherSuite
	}
	// RFC 7627 section 5.4.
	if s.version == tls.VersionTLS12 && !state.ExtendedMasterSecret {
		return RefusedExtendedMasterSecret
	}
	// A full handshake today would accept the server. CVE-2025-68121 (Go).
	chains, ok := c.serverStillTrusted(&d.destination, state)
	if !ok {
		return RefusedUntrusted
	}
	p := proposal{handshake: h, id: []byte(s.id)}
	if d.config.VerifyPeerCertificate != nil && !c.cfg.SkipVerifyPeerCertificate && !c.callVerifyPeerCertificate(p, f, chains) {
		return RefusedVerifyPeerCertificate
	}
	return 0
}

// takeOffer ensures that a session is offered once. With an external cache, Admit has
// taken the session out of it. Otherwise takeOffer takes it out of the internal cache, or
// out of the application's selection.
func (c *Cache) takeOffer(d *clientSessions, f *found) bool {
	var taken bool
	if d.selection != nil {
		c.internal.Remove(f.id)
		taken = !d.selection.used.Swap(true)
	} else {
		taken = c.internal.Drop(sessionEntry{f.Session})
	}
	if c.cfg.Callbacks.Find == nil {
		return taken
	}
	if c.cfg.Callbacks.Admit == nil {
		c.warnNoAdmit()
	}
	return c.cfg.Callbacks.Admit != nil && (taken || !f.internal)
}
