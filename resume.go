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

// A proposal is a client's wish to resume: what it sent, and what is in force on
// its connection. Every engine hands its proposals to [Cache.lookup], the one
// door; wolfSSL's CVE-2026-11703 is what happens with two.
type proposal struct {
	ctx    context.Context
	info   ConnInfo
	policy policy
	id     []byte

	// suite is the one that was chosen, 0 while none is (TLS 1.2).
	suite uint16
	// offered are the suites in the ClientHello; nil where the engine's hooks
	// do not see it.
	offered []uint16
}

// lookup returns the session that the client may resume, or nil, and whether the
// internal cache had it. What a client that has proved nothing sends costs one
// look-up, and removes nothing but a session that nobody can resume any more.
func (c *Cache) lookup(p proposal) (s *Session, internal bool) {
	if !validID(p.id) || c.closed.Load() {
		return nil, false
	}
	removals := c.removals.Load()
	s, internal = c.find(p)
	if s == nil {
		c.explain(p, "not found")
		return nil, false
	}
	if r := c.refuse(p, s); r != 0 {
		c.refused(p, s, r, internal)
		return nil, false
	}
	if !internal && c.Mode().internalKeeps() {
		c.keepCopy(s, removals)
	}
	return s, internal
}

// undecodable refuses a session that the ladder let pass and the engine cannot decode:
// the ladder has no need to look at the whole of a certificate. The copy of an external
// session goes, and nobody is told: the original may be good elsewhere, on another
// release of Go.
func (c *Cache) undecodable(p proposal, s *Session, internal bool) {
	c.refused(p, s, RefusedMalformed, internal)
	if !internal {
		c.internal.Drop(sessionEntry{s})
	}
}

// find asks the internal cache, then the Get callback.
func (c *Cache) find(p proposal) (s *Session, internal bool) {
	if c.Mode().internalAnswers() {
		if e, ok := c.internal.Get(string(p.id)); ok {
			return e.Session, true
		}
		c.counters.misses.Add(1)
	}
	if s = c.callGet(p.ctx, p.info, p.id); s != nil {
		c.counters.cbHits.Add(1)
	}
	return s, false
}

// refuse is the ladder: the first reason for which s must not be resumed, or 0.
// It is the only place where that is decided, for every engine, protocol version
// and source of sessions. What would need the client's proof, or changes
// anything, is not here.
func (c *Cache) refuse(p proposal, s *Session) Refusal {
	// openssl/openssl 4e8593e7eb: an external cache that answers with another
	// session would hand one client's keys and identity to another.
	if s.id != string(p.id) {
		return RefusedWrongID
	}
	// RFC 8446 section 4.6.1, RFC 5246 section 8.1: the secret's length is
	// given. CVE-2026-34873 (Mbed TLS), CVE-2020-13777 (GnuTLS): a secret of
	// zeros is nobody's.
	state, err := sessionstate.Parse(s.state)
	if err != nil || state.Version != s.version || state.CipherSuite != s.suite || !usableSecret(state) {
		return RefusedMalformed
	}
	// RFC 5246 section F.1.4, RFC 8446 section 4.6.1.
	if s.version != p.info.Version {
		return RefusedVersion
	}
	// SSL_CTX_set_session_id_context(3).
	if p.policy.unscoped() {
		return RefusedUnscoped
	}
	// CVE-2025-68121 and golang/go#77217 (Go), CVE-2025-23419 (nginx),
	// CVE-2025-23048 (httpd), CVE-2022-21654 (Envoy).
	if s.scope != p.policy.digest(p.info.ServerName) {
		return RefusedScope
	}
	// SSL_CTX_set_timeout(3); RFC 8446 section 4.6.1 for the seven days, of
	// which crypto/tls asks too.
	now := c.time()
	if s.expiredAt(now) || p.policy.now().Sub(time.Unix(int64(state.CreatedAt), 0)) > MaxTimeout {
		return RefusedExpired
	}
	// RFC 8446 section 4.6.1: "the total lifetime of the keying material".
	if c.maxChainAge > 0 && now.Sub(s.LineageStart()) > c.maxChainAge {
		return RefusedLineageAge
	}
	// CVE-2010-4180 (OpenSSL); RFC 5246 section 7.4.1.3, RFC 8446 section 4.2.11.
	if !suiteMayResume(p, s) {
		return RefusedCipherSuite
	}
	// RFC 7627 sections 5.3 and 5.4; the triple handshake.
	if s.version == tls.VersionTLS12 && !state.ExtendedMasterSecret {
		return RefusedExtendedMasterSecret
	}
	// CVE-2025-68121: what crypto/tls asks of a ticket is asked here as well,
	// so that it holds for every engine and comes before Admit.
	hasCertificate := len(state.Certificates) > 0
	if p.policy.requiresCertificate() && !hasCertificate ||
		hasCertificate && p.policy.config.ClientAuth == tls.NoClientCert {
		return RefusedClientCertificate
	}
	if hasCertificate && !c.chainHolds(p.policy, state) {
		return RefusedUntrusted
	}
	if !c.callAuthorize(p.info, s) {
		return RefusedUnauthorized
	}
	// Last, because it may consume the session.
	if !c.callAdmit(p.ctx, p.info, s) {
		return RefusedNotAdmitted
	}
	return 0
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

// chainHolds reports whether the client's certificates are still good under the
// policy: the leaf in its time, and, where the policy verifies, a chain that was
// verified once, whole in its time and ending in today's roots.
func (c *Cache) chainHolds(p policy, state *sessionstate.State) bool {
	notBefore, notAfter, err := state.LeafValidity()
	now := p.now()
	if err != nil || !isWithin(notBefore, notAfter, now) {
		return false
	}
	if !p.verifiesCertificate() {
		return true
	}
	chains, err := state.AuthorityChains(&c.authorities)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(chains, func(chain []*x509.Certificate) bool {
		for _, cert := range chain {
			if !isWithin(cert.NotBefore, cert.NotAfter, now) {
				return false
			}
		}
		return isTrusted(state, chain, p.config.ClientCAs, now)
	})
}

func isWithin(notBefore, notAfter, now time.Time) bool {
	return !now.Before(notBefore) && !now.After(notAfter)
}

// isTrusted reports whether a chain of authorities ends in one of roots. Within a
// pool of ours that is a look-up of its last certificate; the roots of the system
// may be kept by the system, which has to be asked for the whole chain.
func isTrusted(state *sessionstate.State, chain []*x509.Certificate, roots *x509.CertPool, now time.Time) bool {
	opts := x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if roots != nil && len(chain) > 0 {
		_, err := chain[len(chain)-1].Verify(opts)
		return err == nil
	}
	leaf, err := state.Leaf()
	if err != nil {
		return false
	}
	opts.Intermediates = x509.NewCertPool()
	for _, cert := range chain {
		opts.Intermediates.AddCert(cert)
	}
	_, err = leaf.Verify(opts)
	return err == nil
}

// refused counts and logs a refusal, and takes out of the internal cache what
// nobody can resume any more. internal is false for a session that came from elsewhere.
func (c *Cache) refused(p proposal, s *Session, r Refusal, internal bool) {
	c.counters.refuse(r)
	if r == RefusedExpired {
		c.counters.timeouts.Add(1)
	}
	c.explain(p, r.String())
	if !internal {
		return
	}
	switch {
	case s.expiredAt(c.time()):
		c.drop(s, CauseExpired)
	case r == RefusedMalformed:
		c.drop(s, CauseFaulty)
	}
}

// drop removes this very session from the internal cache, if it is there.
func (c *Cache) drop(s *Session, cause Cause) {
	if c.internal.Drop(sessionEntry{s}) {
		c.callRemove(cause, s)
	}
}

// explain logs why a proposed session is not resumed.
func (c *Cache) explain(p proposal, why string) {
	if c.log == nil || !c.log.Enabled(p.ctx, slog.LevelDebug) {
		return
	}
	c.log.LogAttrs(p.ctx, slog.LevelDebug, "session not resumed", slog.String("why", why),
		slog.String("ref", refOf(string(p.id))), slog.String("version", versionName(p.info.Version)),
		slog.String("server_name", p.info.ServerName), addrAttr(p.info.RemoteAddr))
}
