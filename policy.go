package halfshake

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/halfshake/halfshake/internal/validity"
)

// A policy is the part of a tls.Config that decides whether a session may be resumed
// under it. It belongs to the configuration in force for a connection: the one that the
// application passed in, or the one that its GetConfigForClient returned.
type policy struct {
	config  *tls.Config
	scope   string
	scopeID ScopeID // of scope
	trustID string

	// failed is set if TrustID panicked, so that trustID is unknown.
	failed bool

	// serverNotAfter is when the server's certificate expires. It is zero if the
	// certificate is not known before the handshake.
	serverNotAfter time.Time
}

// policyOf returns the policy of a configuration. It does not copy the configuration;
// see kept.
func (c *Cache) policyOf(config *tls.Config) policy {
	p := c.trustOf(config)
	p.serverNotAfter = serverNotAfter(config)
	return p
}

// trustOf returns what the Cache's own Config makes of a configuration, of either side.
func (c *Cache) trustOf(config *tls.Config) policy {
	p := policy{config: config, scope: c.cfg.Scope, scopeID: c.scopeID}
	if trustID := c.cfg.TrustID; trustID != nil {
		err := c.guard(callbackTrustID, "", func() error { p.trustID = trustID(config); return nil })
		p.failed = err != nil
	}
	return p
}

// kept returns the policy with a clone of its configuration, because the application may
// change its own later.
func (p policy) kept() policy {
	p.config = p.config.Clone()
	return p
}

// serverNotAfter returns when the certificate of a configuration expires. It returns the
// zero time unless there is exactly one.
func serverNotAfter(config *tls.Config) (notAfter time.Time) {
	if len(config.Certificates) != 1 || config.GetCertificate != nil {
		return notAfter
	}
	cert := &config.Certificates[0]
	switch {
	case cert.Leaf != nil:
		notAfter = cert.Leaf.NotAfter
	case len(cert.Certificate) > 0:
		_, notAfter, _ = validity.Of(cert.Certificate[0])
	}
	return notAfter
}

// unscoped reports whether sessions must not be cached, because nothing names what they
// may be used for: the configuration asks for client certificates without a scope or
// trust id, or TrustID failed. In the first case OpenSSL fails the connection
// (SSL_R_SESSION_ID_CONTEXT_UNINITIALIZED).
func (p policy) unscoped() bool {
	return p.failed || p.config.ClientAuth != tls.NoClientCert && p.scope == "" && p.trustID == ""
}

// digest identifies what a session may be resumed under. Each part is hashed with its
// length, so that different lists of parts have different digests. The digest begins
// with the ScopeID; the rest covers the scope too.
func (p policy) digest(serverName string) (d [sha256.Size]byte) {
	b := make([]byte, 0, 128)
	b = append(b, "halfshake scope 2"...)
	for _, part := range [...]string{p.scope, p.trustID, lowerASCII(serverName)} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	b = append(b, byte(p.config.ClientAuth))
	d = sha256.Sum256(b)
	copy(d[:], p.scopeID[:])
	return d
}

// lowerASCII lowers the ASCII letters of a DNS name (RFC 4343). A client chooses the
// bytes of the name, and lowering other letters could make two names equal.
func lowerASCII(name string) string {
	b := []byte(name)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// now returns the time that crypto/tls uses to check certificates under this policy.
func (p policy) now() time.Time {
	if p.config.Time != nil {
		return p.config.Time()
	}
	return time.Now()
}

// requiresCertificate reports whether a handshake needs a client certificate.
func (p policy) requiresCertificate() bool {
	return p.config.ClientAuth == tls.RequireAnyClientCert || p.config.ClientAuth == tls.RequireAndVerifyClientCert
}

// verifiesCertificate reports whether a client certificate must chain to ClientCAs.
func (p policy) verifiesCertificate() bool { return p.config.ClientAuth >= tls.VerifyClientCertIfGiven }

// checkConfig returns the policy of a configuration that the application passes in. It
// returns an error if nothing could resume under it, or nothing could resume safely.
func (c *Cache) checkConfig(config *tls.Config) (policy, error) {
	switch mode := c.cfg.Mode; { // not the mode in force, which SetMode may change at any time
	case config == nil:
		return policy{}, errors.New("halfshake: the tls.Config is nil; pass the server's own, with its certificates")
	case mode&ModeClient != 0 && mode&ModeServer == 0:
		return policy{}, errors.New("halfshake: Config.Mode is ModeClient, which caches nothing for a server; set ModeServer")
	case mode&ModeServer != 0 && !mode.internalAnswers() && c.GetCallback() == nil:
		return policy{}, errors.New("halfshake: Config.Mode has ModeNoInternalLookup and Callbacks.Get is nil, so nothing can resume; set Get, or clear ModeNoInternalLookup")
	case config.SessionTicketsDisabled:
		return policy{}, errors.New("halfshake: nothing can resume while SessionTicketsDisabled is set; clear it: Halfshake issues no stateless tickets")
	case config.WrapSession != nil || config.UnwrapSession != nil:
		return policy{}, errors.New("halfshake: the tls.Config already has WrapSession or UnwrapSession set; pass one without them: the Cache sets both")
	}
	p := c.policyOf(config)
	switch {
	case p.failed:
		return policy{}, errors.New("halfshake: Config.TrustID panicked for the tls.Config; it must name the trust of every configuration")
	case p.unscoped():
		return policy{}, fmt.Errorf("halfshake: the tls.Config asks for client certificates (%v) and Config.Scope is empty; set Config.Scope, or Config.TrustID, to what a resumed client certificate may be used for", config.ClientAuth)
	}
	return p, nil
}
