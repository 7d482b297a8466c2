package halfshake

import (
	"crypto/x509"
	"slices"
	"time"

	"github.com/halfshake/halfshake/internal/sessionstate"
)

// chainsThatHold reports whether the client's certificates are still good under the
// policy. The leaf must be within its validity period. If the policy verifies
// certificates, all of a chain must be valid now and the chain must end in one of today's
// roots. chainsThatHold returns these chains without the leaf.
func (c *Cache) chainsThatHold(p policy, state *sessionstate.State) (chains [][]*x509.Certificate, ok bool) {
	notBefore, notAfter, err := state.LeafValidity()
	now := p.now()
	if err != nil || !isWithin(notBefore, notAfter, now) {
		return nil, false
	}
	if !p.verifiesCertificate() {
		return nil, true
	}
	return c.trustedChains(state, anchors{roots: p.config.ClientCAs, usage: x509.ExtKeyUsageClientAuth, now: now})
}

// serverStillTrusted reports whether the server's certificates in a client's session are
// still good: what crypto/tls asks before it offers a session, asked before the session is
// taken. It returns the chains that hold, without the leaf. With InsecureSkipVerify there
// are none, and crypto/tls looks at the leaf's end alone.
func (c *Cache) serverStillTrusted(d *destination, state *sessionstate.State) (chains [][]*x509.Certificate, ok bool) {
	leaf, err := state.Leaf()
	now := d.now()
	if err != nil || now.After(leaf.NotAfter) {
		return nil, false
	}
	if d.config.InsecureSkipVerify {
		return nil, true
	}
	if now.Before(leaf.NotBefore) || leaf.VerifyHostname(d.serverName) != nil {
		return nil, false
	}
	return c.trustedChains(state, anchors{roots: d.config.RootCAs, usage: x509.ExtKeyUsageServerAuth, now: now})
}

// anchors are what a peer's certificate must chain to, for what use, and when.
type anchors struct {
	roots *x509.CertPool // nil for the system's
	usage x509.ExtKeyUsage
	now   time.Time
}

// trustedChains returns the chains of the session that hold, without the leaf. There must
// be one.
func (c *Cache) trustedChains(state *sessionstate.State, a anchors) (chains [][]*x509.Certificate, ok bool) {
	if c.cfg.ReverifyChains {
		return reverify(state, a)
	}
	chains, err := state.AuthorityChains(&c.authorities)
	if err != nil {
		return nil, false
	}
	chains = slices.DeleteFunc(chains, func(chain []*x509.Certificate) bool {
		return slices.ContainsFunc(chain, func(cert *x509.Certificate) bool { return !isWithin(cert.NotBefore, cert.NotAfter, a.now) }) ||
			!isTrusted(state, chain, a)
	})
	return chains, len(chains) > 0
}

func isWithin(notBefore, notAfter, now time.Time) bool {
	return !now.Before(notBefore) && !now.After(notAfter)
}

// isTrusted reports whether a chain of authorities ends in one of roots. For a pool of
// our own it looks up the chain's last certificate. For the system's roots it has to
// verify the whole chain, because the system may keep its roots to itself. The chain's
// last certificate is then not passed as an intermediate: the system must have it.
func isTrusted(state *sessionstate.State, chain []*x509.Certificate, a anchors) bool {
	if a.roots != nil && len(chain) > 0 {
		_, err := chain[len(chain)-1].Verify(a.options(nil))
		return err == nil
	}
	leaf, err := state.Leaf()
	if err != nil {
		return false
	}
	_, err = leaf.Verify(a.options(chain[:max(len(chain)-1, 0)]))
	return err == nil
}

// reverify verifies the peer's certificates as a full handshake would.
func reverify(state *sessionstate.State, a anchors) (chains [][]*x509.Certificate, ok bool) {
	sent, err := state.PeerCertificates()
	if err != nil {
		return nil, false
	}
	chains, err = sent[0].Verify(a.options(sent[1:]))
	for i, chain := range chains {
		chains[i] = chain[1:]
	}
	return chains, err == nil
}

func (a anchors) options(intermediates []*x509.Certificate) x509.VerifyOptions {
	opts := x509.VerifyOptions{
		Roots: a.roots, Intermediates: x509.NewCertPool(), CurrentTime: a.now,
		KeyUsages: []x509.ExtKeyUsage{a.usage},
	}
	for _, cert := range intermediates {
		opts.Intermediates.AddCert(cert)
	}
	return opts
}
