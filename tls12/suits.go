package tls12

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"slices"
)

// HasSuite reports whether this engine has the cipher suite of that id.
func HasSuite(id uint16) bool { return suiteByID(id) != nil }

// Suits reports whether a server of this package can serve the client as well as
// one of crypto/tls under the same configuration: whichever of its certificates
// is chosen, there is a suite, a group and a signature scheme that both have. A
// client that needs what this engine refuses is one for crypto/tls, and so are all
// in FIPS 140-3 mode, whose rules for TLS are written there.
func Suits(config *tls.Config, hello *tls.ClientHelloInfo) bool {
	return checkServerConfig(config) == nil &&
		(len(hello.SupportedPoints) == 0 || slices.Contains(hello.SupportedPoints, pointUncompressed)) &&
		chooseGroup(config, hello.SupportedCurves) != 0 &&
		suitsCertificates(config, hello)
}

// suitsCertificates asks for the key of each certificate there is. Where a
// function chooses one, its key may be of any kind; if it is an ECDSA key, it is
// taken to be on P-256.
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
