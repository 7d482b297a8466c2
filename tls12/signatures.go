package tls12

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.Hash
	_ "crypto/sha512"
	"crypto/tls"
	"slices"
)

// allSchemes are the signature schemes of this package, in the order in which it
// offers them.
var allSchemes = []tls.SignatureScheme{
	tls.PSSWithSHA256, tls.ECDSAWithP256AndSHA256, tls.Ed25519,
	tls.PSSWithSHA384, tls.PSSWithSHA512,
	tls.PKCS1WithSHA256, tls.PKCS1WithSHA384, tls.PKCS1WithSHA512,
	tls.ECDSAWithP384AndSHA384, tls.ECDSAWithP521AndSHA512,
}

// hashOf returns the hash of a scheme, or zero for Ed25519, which has its own.
func hashOf(scheme tls.SignatureScheme) crypto.Hash {
	switch scheme {
	case tls.PSSWithSHA256, tls.PKCS1WithSHA256, tls.ECDSAWithP256AndSHA256:
		return crypto.SHA256
	case tls.PSSWithSHA384, tls.PKCS1WithSHA384, tls.ECDSAWithP384AndSHA384:
		return crypto.SHA384
	case tls.PSSWithSHA512, tls.PKCS1WithSHA512, tls.ECDSAWithP521AndSHA512:
		return crypto.SHA512
	}
	return 0
}

// pssOptions returns the options of RFC 8446, section 4.2.3: the salt has the length
// of the hash.
func pssOptions(h crypto.Hash) *rsa.PSSOptions {
	return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: h}
}

func isPSS(scheme tls.SignatureScheme) bool {
	return scheme == tls.PSSWithSHA256 || scheme == tls.PSSWithSHA384 || scheme == tls.PSSWithSHA512
}

// schemesOf returns the schemes that a key can sign with. In TLS 1.2 an ECDSA scheme
// does not name a curve.
func schemesOf(public crypto.PublicKey) []tls.SignatureScheme {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		return []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.ECDSAWithP384AndSHA384, tls.ECDSAWithP521AndSHA512}
	case ed25519.PublicKey:
		return []tls.SignatureScheme{tls.Ed25519}
	case *rsa.PublicKey:
		return slices.DeleteFunc(slices.Clone(rsaSchemes), func(scheme tls.SignatureScheme) bool {
			return key.Size() < minRSASize(scheme)
		})
	}
	return nil
}

// takesCurve reports whether a client accepts a server's key. In TLS 1.2 the groups
// that it offers restrict ECDSA keys too (RFC 8422, section 5.3).
func takesCurve(offered []tls.CurveID, public crypto.PublicKey) bool {
	key, ok := public.(*ecdsa.PublicKey)
	if !ok {
		return true
	}
	for _, id := range offered {
		if name, ok := curveNames[id]; ok && name == key.Curve.Params().Name {
			return true
		}
	}
	return false
}

// curveNames are the names that package elliptic has for the curves of ECDSA keys.
var curveNames = map[tls.CurveID]string{tls.CurveP256: "P-256", tls.CurveP384: "P-384", tls.CurveP521: "P-521"}

var rsaSchemes = []tls.SignatureScheme{
	tls.PSSWithSHA256, tls.PSSWithSHA384, tls.PSSWithSHA512,
	tls.PKCS1WithSHA256, tls.PKCS1WithSHA384, tls.PKCS1WithSHA512,
}

// minRSASize returns the least length of a modulus, in bytes, that the scheme's
// encoding fits (RFC 8017, sections 9.1.1 and 9.2).
func minRSASize(scheme tls.SignatureScheme) int {
	const digestInfo, padding = 19, 11
	size := hashOf(scheme).Size()
	if isPSS(scheme) {
		return 2*size + 2
	}
	return size + digestInfo + padding
}

// chooseScheme returns the peer's first scheme that the certificate can sign with.
func chooseScheme(certificate *tls.Certificate, public crypto.PublicKey, offered []tls.SignatureScheme) (tls.SignatureScheme, bool) {
	possible := schemesOf(public)
	for _, scheme := range offered {
		if slices.Contains(possible, scheme) &&
			(certificate.SupportedSignatureAlgorithms == nil || slices.Contains(certificate.SupportedSignatureAlgorithms, scheme)) {
			return scheme, true
		}
	}
	return 0, false
}

// sign signs a message with a scheme that the peer offers, and returns both.
func sign(config *tls.Config, certificate *tls.Certificate, offered []tls.SignatureScheme, message []byte) (uint16, []byte, error) {
	signer, ok := certificate.PrivateKey.(crypto.Signer)
	if !ok {
		return 0, nil, fail(alertInternalError, "the certificate's private key of type %T cannot sign", certificate.PrivateKey)
	}
	scheme, ok := chooseScheme(certificate, signer.Public(), offered)
	if !ok {
		return 0, nil, fail(alertHandshakeFailure, "no signature scheme in common; the peer offers %v", offered)
	}
	var options crypto.SignerOpts = hashOf(scheme)
	if isPSS(scheme) {
		options = pssOptions(hashOf(scheme))
	}
	signature, err := crypto.SignMessage(signer, randOf(config), message, options)
	if err != nil {
		return 0, nil, fail(alertInternalError, "signing: %w", err)
	}
	return uint16(scheme), signature, nil
}

// verify checks a peer's signature over a message.
func verify(public crypto.PublicKey, scheme uint16, message, signature []byte) error {
	s := tls.SignatureScheme(scheme)
	if !slices.Contains(schemesOf(public), s) {
		return fail(alertIllegalParameter, "the peer signed with scheme %v under a key of type %T", s, public)
	}
	if !verifies(public, s, message, signature) {
		return fail(alertDecryptError, "the peer's signature is wrong")
	}
	return nil
}

func verifies(public crypto.PublicKey, scheme tls.SignatureScheme, message, signature []byte) bool {
	hash := hashOf(scheme)
	if hash != 0 {
		h := hash.New()
		h.Write(message)
		message = h.Sum(nil)
	}
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, message, signature)
	case ed25519.PublicKey:
		return ed25519.Verify(key, message, signature)
	case *rsa.PublicKey:
		if isPSS(scheme) {
			return rsa.VerifyPSS(key, hash, message, signature, pssOptions(hash)) == nil
		}
		return rsa.VerifyPKCS1v15(key, hash, message, signature) == nil
	}
	return false
}
