// Package validity reads the validity period of a certificate without parsing the rest of
// it.
package validity

import (
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Of returns the notBefore and notAfter of a certificate in DER (RFC 5280, section 4.1). It
// reports false if the certificate is malformed up to there, and ignores what follows.
func Of(certificate []byte) (notBefore, notAfter time.Time, ok bool) {
	der := cryptobyte.String(certificate)
	var outer, tbs, validity cryptobyte.String
	ok = der.ReadASN1(&outer, asn1.SEQUENCE) &&
		outer.ReadASN1(&tbs, asn1.SEQUENCE) &&
		tbs.SkipOptionalASN1(asn1.Tag(0).Constructed().ContextSpecific()) && // version
		tbs.SkipASN1(asn1.INTEGER) && // serialNumber
		tbs.SkipASN1(asn1.SEQUENCE) && // signature
		tbs.SkipASN1(asn1.SEQUENCE) && // issuer
		tbs.ReadASN1(&validity, asn1.SEQUENCE) &&
		readTime(&validity, &notBefore) && readTime(&validity, &notAfter)
	if !ok {
		return time.Time{}, time.Time{}, false
	}
	return notBefore, notAfter, true
}

// readTime reads the Time of RFC 5280, section 4.1.2.5: a UTCTime until 2049, and a
// GeneralizedTime from then on.
func readTime(s *cryptobyte.String, t *time.Time) bool {
	if s.PeekASN1Tag(asn1.UTCTime) {
		return s.ReadASN1UTCTime(t)
	}
	return s.ReadASN1GeneralizedTime(t)
}
