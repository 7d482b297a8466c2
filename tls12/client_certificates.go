package tls12

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"slices"
)

// acceptServer parses and verifies the server's chain.
func (c *Conn) acceptServer(chain [][]byte) error {
	certificates, err := parseChain(chain)
	if err != nil {
		return err
	}
	if public := certificates[0].PublicKey; !takesCurve(allowedGroups(c.config), public) {
		return fail(alertIllegalParameter, "the server's ECDSA key is on a curve that was not offered (RFC 8422, section 5.3)")
	}
	if !c.config.InsecureSkipVerify {
		if c.agreed.chains, err = verifyServerChain(c.config, certificates); err != nil {
			return &failure{alertBadCertificate, &tls.CertificateVerificationError{UnverifiedCertificates: certificates, Err: err}}
		}
	}
	c.agreed.certificates, c.agreed.serverNotAfter = certificates, certificates[0].NotAfter
	return c.verifyPeerCertificate(chain)
}

func verifyServerChain(config *tls.Config, certificates []*x509.Certificate) ([][]*x509.Certificate, error) {
	return certificates[0].Verify(x509.VerifyOptions{
		Roots:         config.RootCAs,
		Intermediates: poolOf(certificates[1:]),
		CurrentTime:   timeOf(config),
		DNSName:       config.ServerName,
	})
}

// chooseClientCertificate returns the certificate to send. It is empty if the
// client has none that the server accepts.
func chooseClientCertificate(config *tls.Config, request *certificateRequestMsg) (*tls.Certificate, error) {
	info := &tls.CertificateRequestInfo{
		AcceptableCAs:    request.authorities,
		SignatureSchemes: request.usableSchemes(),
		Version:          tls.VersionTLS12,
	}
	if config.GetClientCertificate != nil {
		certificate, err := config.GetClientCertificate(info)
		if certificate == nil && err == nil {
			certificate = new(tls.Certificate)
		}
		return certificate, err
	}
	for i := range config.Certificates {
		if info.SupportsCertificate(&config.Certificates[i]) == nil {
			return &config.Certificates[i], nil
		}
	}
	return new(tls.Certificate), nil
}

// usableSchemes returns the signature schemes for the key types that the server
// accepts (RFC 5246, section 7.4.4).
func (m *certificateRequestMsg) usableSchemes() (usable []tls.SignatureScheme) {
	takesRSA := bytes.Contains(m.types, []byte{certTypeRSASign})
	takesEC := bytes.Contains(m.types, []byte{certTypeECDSASign})
	for _, number := range m.schemes {
		scheme := tls.SignatureScheme(number)
		isRSA := slices.Contains(rsaSchemes, scheme)
		if slices.Contains(allSchemes, scheme) && (isRSA && takesRSA || !isRSA && takesEC) {
			usable = append(usable, scheme)
		}
	}
	return usable
}
