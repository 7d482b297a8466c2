package tls12

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"time"

	"github.com/halfshake/halfshake/internal/validity"
)

// maxRSABits limits the cost of verifying a peer's signature, as in crypto/tls.
const maxRSABits = 8192

// serverCertificate chooses a certificate as crypto/tls does. raw is the
// ClientHello.
func (c *Conn) serverCertificate(ctx context.Context, raw []byte) (*tls.Certificate, error) {
	config := c.config
	if len(config.Certificates) == 1 && (config.GetCertificate == nil || c.agreed.serverName == "") {
		return &config.Certificates[0], nil // no choice, so no ClientHelloInfo is needed
	}
	var chosen *tls.Certificate
	var chosenErr error
	err := c.withClientHelloInfo(ctx, raw, func(info *tls.ClientHelloInfo) {
		chosen, chosenErr = chooseCertificate(config, info)
	})
	switch {
	case err != nil:
		return nil, err
	case chosenErr != nil:
		return nil, &failure{alertInternalError, chosenErr}
	case chosen == nil:
		return nil, fail(alertUnrecognizedName, "the configuration has no certificate for %q", c.agreed.serverName)
	}
	return chosen, nil
}

func chooseCertificate(config *tls.Config, info *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if config.GetCertificate != nil && (len(config.Certificates) == 0 || info.ServerName != "") {
		if certificate, err := config.GetCertificate(info); certificate != nil || err != nil {
			return certificate, err
		}
	}
	switch {
	case len(config.Certificates) == 0:
		return nil, nil
	case len(config.Certificates) > 1:
		if certificate := byName(config, info.ServerName); certificate != nil {
			return certificate, nil
		}
		for i := range config.Certificates {
			if info.SupportsCertificate(&config.Certificates[i]) == nil {
				return &config.Certificates[i], nil
			}
		}
	}
	return &config.Certificates[0], nil
}

// byName looks a name up in NameToCertificate, which crypto/tls still honours.
func byName(config *tls.Config, serverName string) *tls.Certificate {
	names := config.NameToCertificate //lint:ignore SA1019 see above
	name := strings.ToLower(serverName)
	if certificate, ok := names[name]; ok {
		return certificate
	}
	if _, parent, ok := strings.Cut(name, "."); ok {
		return names["*."+parent]
	}
	return nil
}

// notAfterOf returns when a certificate expires, or zero if it is malformed.
func notAfterOf(certificate *tls.Certificate) time.Time {
	if len(certificate.Certificate) == 0 {
		return time.Time{}
	}
	_, notAfter, _ := validity.Of(certificate.Certificate[0])
	return notAfter
}

// errSeen stops a crypto/tls handshake that has read the ClientHello.
var errSeen = errors.New("tls12: the ClientHello was seen")

// withClientHelloInfo calls f with the ClientHelloInfo that crypto/tls makes of a
// ClientHello. Only crypto/tls can make one with a context and a configuration, so
// a crypto/tls server reads the message and is then stopped. Its configuration is
// restricted to what this engine supports.
func (c *Conn) withClientHelloInfo(ctx context.Context, raw []byte, f func(*tls.ClientHelloInfo)) error {
	config := c.config.Clone()
	config.MaxVersion = tls.VersionTLS12
	config.CurvePreferences = allowedGroups(c.config)
	config.CipherSuites = allowedSuites(c.config)
	seen := false
	config.GetConfigForClient = func(info *tls.ClientHelloInfo) (*tls.Config, error) {
		seen = true
		info.Conn = c.conn
		f(info)
		return nil, errSeen
	}
	tls.Server(replay(raw), config).HandshakeContext(ctx) // fails with errSeen
	if !seen {
		return fail(alertDecodeError, "an extension of the ClientHello is malformed")
	}
	return nil
}

// acceptClient parses and verifies a client's chain, which may be empty.
func (c *Conn) acceptClient(chain [][]byte) error {
	config := c.config
	certificates, err := parseChain(chain)
	if err != nil {
		return err
	}
	if len(certificates) == 0 && requiresCertificate(config.ClientAuth) {
		return fail(alertHandshakeFailure, "the client sent no certificate")
	}
	if len(certificates) > 0 && config.ClientAuth >= tls.VerifyClientCertIfGiven {
		if c.agreed.chains, err = verifyClientChain(config, certificates); err != nil {
			return err
		}
	}
	c.agreed.certificates = certificates
	return c.verifyPeerCertificate(chain)
}

func requiresCertificate(auth tls.ClientAuthType) bool {
	return auth == tls.RequireAnyClientCert || auth == tls.RequireAndVerifyClientCert
}

// parseChain parses a chain, and refuses a leaf whose signatures this package
// cannot verify.
func parseChain(chain [][]byte) ([]*x509.Certificate, error) {
	certificates := make([]*x509.Certificate, len(chain))
	for i, der := range chain {
		one, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fail(alertDecodeError, "parsing the peer's certificate: %w", err)
		}
		if key, ok := one.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSABits {
			return nil, fail(alertBadCertificate, "the peer's certificate has an RSA key of more than %d bits", maxRSABits)
		}
		certificates[i] = one
	}
	if len(certificates) == 0 {
		return nil, nil
	}
	return certificates, checkLeaf(certificates[0])
}

// checkLeaf refuses a certificate whose key cannot, or must not, sign a handshake
// (RFC 5246, sections 7.4.2 and 7.4.6).
func checkLeaf(leaf *x509.Certificate) error {
	switch key := leaf.PublicKey.(type) {
	case *ecdsa.PublicKey, *rsa.PublicKey, ed25519.PublicKey:
	default:
		return fail(alertUnsupportedCertificate, "the peer's certificate has a key of type %T", key)
	}
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return fail(alertBadCertificate, "the peer's certificate is not for digital signatures")
	}
	return nil
}

func verifyClientChain(config *tls.Config, certificates []*x509.Certificate) ([][]*x509.Certificate, error) {
	chains, err := certificates[0].Verify(x509.VerifyOptions{
		Roots:         config.ClientCAs,
		Intermediates: poolOf(certificates[1:]),
		CurrentTime:   timeOf(config),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err == nil {
		return chains, nil
	}
	alert := alertBadCertificate
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		alert = alertUnknownCA
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		alert = alertCertificateExpired
	}
	return nil, &failure{alert, &tls.CertificateVerificationError{UnverifiedCertificates: certificates, Err: err}}
}

func poolOf(certificates []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, one := range certificates {
		pool.AddCert(one)
	}
	return pool
}

// verifyPeerCertificate calls the configuration's VerifyPeerCertificate.
func (c *Conn) verifyPeerCertificate(chain [][]byte) error {
	if c.config.VerifyPeerCertificate == nil {
		return nil
	}
	if err := c.config.VerifyPeerCertificate(chain, c.agreed.chains); err != nil {
		return &failure{alertBadCertificate, err}
	}
	return nil
}
