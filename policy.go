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

// A policy is what of a tls.Config decides whether a session may be resumed
// under it. It belongs to one configuration in force: the one that the
// application handed in, or the one that its GetConfigForClient returned for
// this very connection.
type policy struct {
	config  *tls.Config
	scope   string
	scopeID ScopeID // of scope
	trustID string

	// failed is set where TrustID panicked: what it would have said is unknown.
	failed bool

	// serverNotAfter is when the server's certificate expires, zero where it is not
	// known before the handshake which one that is.
	serverNotAfter time.Time
}

// policyOf returns the policy of a configuration as it is now; see kept.
func (c *Cache) policyOf(config *tls.Config) policy {
	p := policy{config: config, scope: c.cfg.Scope, scopeID: c.scopeID, serverNotAfter: serverNotAfter(config)}
	if trustID := c.cfg.TrustID; trustID != nil {
		err := c.guard(callbackTrustID, "", func() error { p.trustID = trustID(config); return nil })
		p.failed = err != nil
	}
	return p
}

// kept returns the policy with a clone of its configuration, whatever the application
// does to its own later.
func (p policy) kept() policy {
	p.config = p.config.Clone()
	return p
}

// serverNotAfter returns when the only certificate of a configuration expires.
func serverNotAfter(config *tls.Config) (notAfter time.Time) {
	if len(config.Certificates) == 1 && config.GetCertificate == nil && len(config.Certificates[0].Certificate) > 0 {
		_, notAfter, _ = validity.Of(config.Certificates[0].Certificate[0])
	}
	return notAfter
}

// unscoped reports whether nothing names what a session may be used for, though
// it must: client certificates are asked for, or TrustID failed. OpenSSL fails a
// connection of the first kind (SSL_R_SESSION_ID_CONTEXT_UNINITIALIZED); here it
// is not cached.
func (p policy) unscoped() bool {
	return p.failed || p.config.ClientAuth != tls.NoClientCert && p.scope == "" && p.trustID == ""
}

// digest names what a session may be resumed under. The parts carry their
// lengths, so that no two different lists of them run together. It begins with the
// ScopeID, which the rest covers too.
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

// lowerASCII folds the case of a DNS name (RFC 4343), which is a matter of ASCII
// letters alone: names are bytes that a client chose, and folding more would make
// one of two.
func lowerASCII(name string) string {
	b := []byte(name)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// now is the time by which crypto/tls checks certificates under this policy.
func (p policy) now() time.Time {
	if p.config.Time != nil {
		return p.config.Time()
	}
	return time.Now()
}

// requiresCertificate reports whether no handshake completes without one.
func (p policy) requiresCertificate() bool {
	return p.config.ClientAuth == tls.RequireAnyClientCert || p.config.ClientAuth == tls.RequireAndVerifyClientCert
}

// verifiesCertificate reports whether a certificate that is sent must chain to
// ClientCAs.
func (p policy) verifiesCertificate() bool { return p.config.ClientAuth >= tls.VerifyClientCertIfGiven }

// checkConfig returns the policy of a configuration that the application hands
// in, or says why nothing could resume, or nothing safely, under it.
func (c *Cache) checkConfig(config *tls.Config) (policy, error) {
	switch mode := c.cfg.Mode; { // not the mode in force, which SetMode may change at any time
	case config == nil:
		return policy{}, errors.New("halfshake: the tls.Config is nil; hand in the server's own, with its certificates")
	case mode&ModeClient != 0 && mode&ModeServer == 0:
		return policy{}, errors.New("halfshake: Config.Mode is ModeClient, which caches nothing for a server; set ModeServer")
	case mode&ModeServer != 0 && !mode.internalAnswers() && c.GetCallback() == nil:
		return policy{}, errors.New("halfshake: Config.Mode has ModeNoInternalLookup and Callbacks.Get is nil, so that nothing can resume; set Get, or clear ModeNoInternalLookup")
	case config.SessionTicketsDisabled:
		return policy{}, errors.New("halfshake: nothing can resume while SessionTicketsDisabled is set; clear it: Halfshake issues no stateless tickets")
	case config.WrapSession != nil || config.UnwrapSession != nil:
		return policy{}, errors.New("halfshake: the tls.Config has WrapSession or UnwrapSession set already; hand in one without them: the Cache sets both")
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
