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
	if c.cfg.ReverifyChains {
		return reverify(p, state, now)
	}
	chains, err = state.AuthorityChains(&c.authorities)
	if err != nil {
		return nil, false
	}
	chains = slices.DeleteFunc(chains, func(chain []*x509.Certificate) bool {
		return slices.ContainsFunc(chain, func(cert *x509.Certificate) bool { return !isWithin(cert.NotBefore, cert.NotAfter, now) }) ||
			!isTrusted(state, chain, p.config.ClientCAs, now)
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
func isTrusted(state *sessionstate.State, chain []*x509.Certificate, roots *x509.CertPool, now time.Time) bool {
	if roots != nil && len(chain) > 0 {
		_, err := chain[len(chain)-1].Verify(verifyOptions(roots, nil, now))
		return err == nil
	}
	leaf, err := state.Leaf()
	if err != nil {
		return false
	}
	_, err = leaf.Verify(verifyOptions(roots, chain[:max(len(chain)-1, 0)], now))
	return err == nil
}

// reverify verifies the client's certificates as a full handshake would.
func reverify(p policy, state *sessionstate.State, now time.Time) (chains [][]*x509.Certificate, ok bool) {
	sent, err := state.PeerCertificates()
	if err != nil {
		return nil, false
	}
	chains, err = sent[0].Verify(verifyOptions(p.config.ClientCAs, sent[1:], now))
	for i, chain := range chains {
		chains[i] = chain[1:]
	}
	return chains, err == nil
}

func verifyOptions(roots *x509.CertPool, intermediates []*x509.Certificate, now time.Time) x509.VerifyOptions {
	opts := x509.VerifyOptions{
		Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, cert := range intermediates {
		opts.Intermediates.AddCert(cert)
	}
	return opts
}
