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

// A proposal is a handshake and the session id that its client wants to resume. Every
// engine's proposals go through [Cache.lookup]. wolfSSL decided this in two places:
// CVE-2026-11703.
type proposal struct {
	*handshake
	id []byte

	// suite is the chosen cipher suite, or 0 if none has been chosen yet (TLS 1.2).
	suite uint16
}

// lookup returns the session that the client may resume, or nil. The client has proved
// nothing yet. Its proposal costs one look-up, and removes only a session that nobody can
// resume any more or one that allows early data.
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
	if !f.internal && c.Mode().internalKeeps(p.side) && !p.keptOutside(f.Session) {
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
	c.saw(s.lineage)
	return &found{Session: s}
}

// refuse is the ladder: it returns the first reason why f must not be resumed, or 0. It
// is the only place that decides this, for every engine, protocol version and source of
// sessions. It also decodes the session's state. No rung relies on the client's proof,
// and only the last rungs change anything.
func (c *Cache) refuse(p proposal, f *found) Refusal {
	s := f.Session
	// Never hand one client's keys and identity to another because an external
	// cache answered with another session. openssl/openssl 4e8593e7eb.
	if s.id != string(p.id) {
		return RefusedWrongID
	}
	// A client's session, which a Cache of both sides or a common store may hold, is
	// never a server's.
	if s.Client() {
		return RefusedScope
	}
	if c.isRemoved(s, p.asked) {
		return RefusedRemoved
	}
	// The secret must have the length that the version requires (RFC 5246 section 8.1,
	// RFC 8446 section 4.6.1). A secret of zeros is known to everybody. CVE-2026-34873
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
	// Do not accept client certificates unless a scope names what they are good for.
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
	// Limit the total lifetime of keying material, however often it is renewed. RFC 9846
	// section 4.6.1.
	now := c.now()
	if maxAge := c.cfg.maxLineageAge(len(state.Certificates) > 0); maxAge > 0 && now.Sub(s.LineageStart()) > maxAge {
		return RefusedLineageAge
	}
	// Never resume after the session's timeout (SSL_CTX_set_timeout(3)), or after the
	// seven days of RFC 8446 section 4.6.1, which crypto/tls also checks.
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
	if r := c.refuseCertificate(p, f); r != 0 {
		return r
	}
	if !c.callAuthorize(p.handshake, s) {
		return RefusedUnauthorized
	}
	// Last, because it may consume the session.
	if !c.callAdmit(p.handshake, s) || state.EarlyData && !c.takeOnce(f) {
		return RefusedNotAdmitted
	}
	if c.isRemoved(s, p.asked) { // while the callbacks ran
		return RefusedRemoved
	}
	return 0
}

// refuseCertificate has the rungs of the ladder that are about the client's certificate.
func (c *Cache) refuseCertificate(p proposal, f *found) Refusal {
	config, hasCertificate := p.policy.config, len(f.state.Certificates) > 0
	// The session must have a client certificate if the policy requires one, and must
	// not have one if the policy does not ask for it. crypto/tls checks this for tickets
	// too; here it holds for every engine, before Admit. CVE-2025-68121.
	if p.policy.requiresCertificate() && !hasCertificate ||
		hasCertificate && config.ClientAuth == tls.NoClientCert {
		return RefusedClientCertificate
	}
	var chains [][]*x509.Certificate // the verified ones that hold today, without the leaf
	if hasCertificate {
		var ok bool
		if chains, ok = c.chainsThatHold(p.policy, f.state); !ok {
			return RefusedUntrusted
		}
	}
	// crypto/tls does not call VerifyPeerCertificate on resumption. A client that the
	// function refuses today gets a full handshake, which then refuses it.
	if config.VerifyPeerCertificate != nil && config.ClientAuth != tls.NoClientCert &&
		!c.cfg.SkipVerifyPeerCertificate && !c.callVerifyPeerCertificate(p, f, chains) {
		return RefusedVerifyPeerCertificate
	}
	return 0
}

// takeOnce ensures that a session that allows early data resumes once (RFC 8446 section
// 8.1). With an external cache, Admit has taken the session out of it already. Otherwise
// takeOnce takes it out of the internal cache.
func (c *Cache) takeOnce(f *found) bool {
	if c.GetCallback() != nil {
		if c.cfg.Callbacks.Admit == nil {
			c.warnNoAdmit()
		}
		return c.cfg.Callbacks.Admit != nil
	}
	return c.internal.Drop(sessionEntry{f.Session})
}

// usableSecret reports whether the secret has the length that its version and suite
// require, and is not all zeros.
func usableSecret(state *sessionstate.State) bool {
	want := 48 // RFC 5246 section 8.1
	if state.Version >= tls.VersionTLS13 {
		want = pskSize(state.CipherSuite)
	}
	return len(state.Secret) == want && slices.Max(state.Secret) != 0
}

// pskSize returns the hash length of a TLS 1.3 suite, which is also the length of its PSKs.
func pskSize(suite uint16) int {
	if suite == tls.TLS_AES_256_GCM_SHA384 {
		return 48
	}
	return 32
}

// suiteMayResume reports whether the connection may use the session's suite. In TLS 1.3
// its hash must be that of the chosen suite. In TLS 1.2 both sides must still allow the
// suite itself.
func suiteMayResume(p proposal, s *Session) bool {
	if s.version >= tls.VersionTLS13 {
		return pskSize(s.suite) == pskSize(p.suite)
	}
	return (p.policy.config.CipherSuites == nil || slices.Contains(p.policy.config.CipherSuites, s.suite)) &&
		(p.offered == nil || slices.Contains(p.offered, s.suite))
}

// refused counts and logs a refusal. It removes the session if nobody can resume it any
// more.
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

// drop removes this very session from the internal cache and calls Remove. It also calls
// Remove for a session from the external cache.
func (h *handshake) drop(f *found, cause Cause) {
	if h.cache.internal.Drop(sessionEntry{f.Session}) || !f.internal {
		h.removing(func(ctx context.Context) { h.cache.callRemove(ctx, cause, f.Session) })
	}
}
