package halfshake

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

type trustIDFunc = func(*tls.Config) string

// A policy is what of a tls.Config decides whether a session may be resumed
// under it. It belongs to one configuration in force: the one that the
// application handed in, or the one that its GetConfigForClient returned for
// this very connection.
type policy struct {
	config  *tls.Config
	scope   string
	trustID string
}

func (c *Cache) policyOf(config *tls.Config) policy {
	p := policy{config: config, scope: c.scope}
	if c.trustID != nil {
		if err := guard("TrustID", func() error { p.trustID = c.trustID(config); return nil }); err != nil {
			c.faulted(nil, err)
		}
	}
	return p
}

// unscoped reports whether client certificates are asked for while nothing names
// what a session that carries one may be used for. OpenSSL fails such a
// connection (SSL_R_SESSION_ID_CONTEXT_UNINITIALIZED); here it is not cached.
func (p policy) unscoped() bool {
	return p.config.ClientAuth != tls.NoClientCert && p.scope == "" && p.trustID == ""
}

// digest names what a session may be resumed under. The parts carry their
// lengths, so that no two different lists of them run together.
func (p policy) digest(serverName string) (d [sha256.Size]byte) {
	b := make([]byte, 0, 128)
	b = append(b, "halfshake scope 1"...)
	for _, part := range [...]string{p.scope, p.trustID, strings.ToLower(serverName)} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	b = append(b, byte(p.config.ClientAuth))
	return sha256.Sum256(b)
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

// checkConfig says why nothing could resume, or nothing safely, under config.
func (c *Cache) checkConfig(config *tls.Config) error {
	switch {
	case config == nil:
		return errors.New("halfshake: the tls.Config is nil; hand in the server's own, with its certificates")
	case config.SessionTicketsDisabled:
		return errors.New("halfshake: nothing can resume while SessionTicketsDisabled is set; clear it: Halfshake issues no stateless tickets")
	case config.WrapSession != nil || config.UnwrapSession != nil:
		return errors.New("halfshake: the tls.Config has WrapSession or UnwrapSession set already; hand in one without them: the Cache sets both")
	case c.policyOf(config).unscoped():
		return fmt.Errorf("halfshake: the tls.Config asks for client certificates (%v) and Config.Scope is empty; set Config.Scope, or Config.TrustID, to what a resumed client certificate may be used for", config.ClientAuth)
	}
	return nil
}
