package halfshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"slices"
	"time"

	"github.com/halfshake/halfshake/internal/sessionstate"
)

// A proposal is the id that a client wants to resume, and the handshake in which it
// does. Every engine's proposals go through [Cache.lookup], the one door; wolfSSL's
// CVE-2026-11703 is what happens with two.
type proposal struct {
	*handshake
	id []byte

	// suite is the one that was chosen, 0 while none is (TLS 1.2).
	suite uint16
}

// lookup returns the session that the client may resume, or nil. What a client that
// has proved nothing sends costs one look-up, and removes nothing but a session that
// nobody can resume any more, or one that allows early data.
func (c *Cache) lookup(p proposal) *found {
	if c.closed.Load() {
		return nil
	}
	f := c.find(p)
	if f == nil {
		p.explain(p.id, "not found")
		return nil
	}
	if r := c.refuse(p, f); r != 0 {
		c.refused(p.handshake, f, r)
		return nil
	}
	if f.internal && f.state.EarlyData { // takeOnce took it
		p.removing(func(ctx context.Context) { c.callRemove(ctx, CauseUsed, f.Session) })
	}
	if !f.internal && c.Mode().internalKeeps() && !p.keptOutside(f.Session) {
		c.keepCopy(p.handshake, f.Session)
	}
	return f
}

// find asks the internal cache, then the Get callback.
func (c *Cache) find(p proposal) *found {
	if c.Mode().internalAnswers() {
		if e, ok := c.internal.Get(string(p.id)); ok {
			return &found{Session: e.Session, internal: true}
		}
		c.counters.misses.Add(1)
	}
	s := c.callGet(p.handshake, p.id)
	if s == nil {
		return nil
	}
	c.counters.cbHits.Add(1)
	c.lives(s)
	return &found{Session: s}
}

// refuse is the ladder: the first reason for which f must not be resumed, or 0. It
// is the only place where that is decided, for every engine, protocol version and
// source of sessions. It decodes the session's state on the way. What would need the
// client's proof is not here, and only the last rungs change anything.
func (c *Cache) refuse(p proposal, f *found) Refusal {
	s, config := f.Session, p.policy.config
	// Never hand one client's keys and identity to another because an external
	// cache answered with another session. openssl/openssl 4e8593e7eb.
	if s.id != string(p.id) {
		return RefusedWrongID
	}
	if c.isRemoved(s, p.asked) {
		return RefusedRemoved
	}
	// The secret has the length that the version gives it (RFC 5246 section 8.1,
	// RFC 8446 section 4.6.1), and one of zeros is everybody's. CVE-2026-34873
	// (Mbed TLS), CVE-2020-13777 (GnuTLS).
	state, err := sessionstate.Parse(s.state)
	if err != nil || state.Version != s.version || state.CipherSuite != s.suite || !usableSecret(state) {
		return RefusedMalformed
	}
	f.state = state
	// Never resume a session for a different TLS version. RFC 5246 section F.1.4,
	// RFC 8446 section 4.6.1.
	if s.version != p.info.Version {
		return RefusedVersion
	}
	// Client certificates are good for nothing that has no name.
	// SSL_CTX_set_session_id_context(3).
	if p.policy.unscoped() {
		return RefusedUnscoped
	}
	// A session is good only for the scope, name and policy it was made under.
	// CVE-2025-68121 and golang/go#77217 (Go), CVE-2025-23419 (nginx),
	// CVE-2025-23048 (httpd), CVE-2022-21654 (Envoy).
	if s.scope != p.policy.digest(p.info.ServerName) {
		return RefusedScope
	}
	// Keying material has a total lifetime, however often it is renewed. RFC 9846
	// section 4.6.1.
	now, hasCertificate := c.now(), len(state.Certificates) > 0
	if maxAge := c.cfg.maxLineageAge(hasCertificate); maxAge > 0 && now.Sub(s.LineageStart()) > maxAge {
		return RefusedLineageAge
	}
	// Its timeout is over (SSL_CTX_set_timeout(3)), or the seven days of RFC 8446
	// section 4.6.1, which crypto/tls checks too.
	if s.expiredAt(now) || p.policy.now().Sub(time.Unix(int64(state.CreatedAt), 0)) > MaxTimeout {
		return RefusedExpired
	}
	// The suite must be one that this connection may use. CVE-2010-4180 (OpenSSL);
	// RFC 5246 section 7.4.1.3, RFC 8446 section 4.2.11.
	if !suiteMayResume(p, s) {
		return RefusedCipherSuite
	}
	// TLS 1.2 needs the extended master secret against the triple handshake. RFC
	// 7627 sections 5.3 and 5.4.
	if s.version == tls.VersionTLS12 && !state.ExtendedMasterSecret {
		return RefusedExtendedMasterSecret
	}
	// A certificate is there if it is required, and only if it is asked for.
	// crypto/tls asks this of a ticket too; here it holds for every engine, and
	// comes before Admit. CVE-2025-68121.
	if p.policy.requiresCertificate() && !hasCertificate ||
		hasCertificate && config.ClientAuth == tls.NoClientCert {
		return RefusedClientCertificate
	}
	var chains [][]*x509.Certificate // the verified ones that hold today, without the leaf
	if hasCertificate {
		var ok bool
		if chains, ok = c.chainsThatHold(p.policy, state); !ok {
			return RefusedUntrusted
		}
	}
	// crypto/tls does not ask VerifyPeerCertificate on resumption; a client that it
	// would refuse today gets a full handshake, and is refused there.
	if config.VerifyPeerCertificate != nil && config.ClientAuth != tls.NoClientCert &&
		!c.cfg.SkipVerifyPeerCertificate && !c.callVerifyPeerCertificate(p, f, chains) {
		return RefusedVerifyPeerCertificate
	}
	if !c.callAuthorize(p.handshake, s) {
		return RefusedUnauthorized
	}
	// Last, because it may consume the session.
	if !c.callAdmit(p.handshake, s) || state.EarlyData && !c.takeOnce(f) {
		return RefusedNotAdmitted
	}
	if c.isRemoved(s, p.asked) { // meanwhile
		return RefusedRemoved
	}
	return 0
}

// takeOnce takes a session that allows early data out of the one place that decides
// who resumes it (RFC 8446 section 8.1): the external cache, where Admit has taken
// it, or else the internal cache.
func (c *Cache) takeOnce(f *found) bool {
	if c.GetCallback() != nil {
		return c.cfg.Callbacks.Admit != nil
	}
	return c.internal.Drop(sessionEntry{f.Session})
}

// usableSecret reports whether the secret has the length that its version and
// suite give it, and is not all zeros.
func usableSecret(state *sessionstate.State) bool {
	want := 48 // RFC 5246 section 8.1
	if state.Version >= tls.VersionTLS13 {
		want = pskSize(state.CipherSuite)
	}
	return len(state.Secret) == want && slices.Max(state.Secret) != 0
}

// pskSize is the length of the hash of a TLS 1.3 suite, and so of its PSKs.
func pskSize(suite uint16) int {
	if suite == tls.TLS_AES_256_GCM_SHA384 {
		return 48
	}
	return 32
}

// suiteMayResume reports whether the session's suite fits the connection: in TLS
// 1.3 the hash of the one that was chosen; in TLS 1.2 the very suite, which both
// sides must still allow.
func suiteMayResume(p proposal, s *Session) bool {
	if s.version >= tls.VersionTLS13 {
		return pskSize(s.suite) == pskSize(p.suite)
	}
	return (p.policy.config.CipherSuites == nil || slices.Contains(p.policy.config.CipherSuites, s.suite)) &&
		(p.offered == nil || slices.Contains(p.offered, s.suite))
}

// refused counts and logs a refusal, and takes out of the cache what nobody can
// resume any more.
func (c *Cache) refused(h *handshake, f *found, r Refusal) {
	c.counters.refuse(r)
	now := c.now()
	if r == RefusedExpired {
		c.counters.timeouts.Add(1)
		c.counters.expiredAges.add(now.Sub(f.Created()))
	}
	h.explain([]byte(f.id), r.String(), slog.String("lineage", f.lineage.String()))
	switch {
	case r == RefusedWrongID:
	case f.expiredAt(now):
		h.drop(f, CauseExpired)
	case r == RefusedMalformed && f.internal:
		h.drop(f, CauseFaulty)
	}
}

// drop removes this very session from the internal cache and tells the application,
// also of one that came from the external cache.
func (h *handshake) drop(f *found, cause Cause) {
	if h.cache.internal.Drop(sessionEntry{f.Session}) || !f.internal {
		h.removing(func(ctx context.Context) { h.cache.callRemove(ctx, cause, f.Session) })
	}
}
