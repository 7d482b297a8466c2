package tls12

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"slices"
)

// HasSuite reports whether this engine supports the cipher suite id.
func HasSuite(id uint16) bool { return suiteByID(id) != nil }

// Suits reports whether a server of this package can serve the client as well as one
// of crypto/tls under the same configuration: for whichever certificate it chooses,
// both sides have a suite, a group and a signature scheme in common. It reports false
// for a configuration that this package cannot honour, and for every client in FIPS
// 140-3 mode, whose rules for TLS only crypto/tls implements.
func Suits(config *tls.Config, hello *tls.ClientHelloInfo) bool {
	return checkServerConfig(config) == nil &&
		(len(hello.SupportedPoints) == 0 || slices.Contains(hello.SupportedPoints, pointUncompressed)) &&
		chooseGroup(config, hello.SupportedCurves) != 0 &&
		suitsCertificates(config, hello)
}

// suitsCertificates checks the key of every certificate that may be chosen. If a
// function chooses it, the key may be of any type; an ECDSA key is then assumed to be
// on P-256.
func suitsCertificates(config *tls.Config, hello *tls.ClientHelloInfo) bool {
	if config.GetCertificate != nil || len(config.Certificates) == 0 {
		return slices.Contains(hello.SupportedCurves, tls.CurveP256) &&
			suitsKey(config, hello, true, rsaSchemes) && suitsKey(config, hello, false, schemesOf((*ecdsa.PublicKey)(nil)))
	}
	for _, certificate := range config.Certificates {
		signer, ok := certificate.PrivateKey.(crypto.Signer)
		if !ok {
			return false
		}
		_, isRSA := signer.Public().(*rsa.PublicKey)
		if !takesCurve(hello.SupportedCurves, signer.Public()) || !suitsKey(config, hello, isRSA, schemesOf(signer.Public())) {
			return false
		}
	}
	return true
}

func suitsKey(config *tls.Config, hello *tls.ClientHelloInfo, isRSA bool, schemes []tls.SignatureScheme) bool {
	return chooseSuite(config, hello.CipherSuites, isRSA) != nil &&
		slices.ContainsFunc(schemes, func(s tls.SignatureScheme) bool { return slices.Contains(hello.SignatureSchemes, s) })
}
