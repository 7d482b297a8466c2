package sessionstate

import (
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// LeafValidity reads from when until when the client's own certificate is good;
// State must have one. It is all that the decision to resume asks of the leaf, and
// parsing the rest costs more than all else in that decision. Either engine parses the
// certificate whole before it resumes.
func (st *State) LeafValidity() (notBefore, notAfter time.Time, err error) {
	der := cryptobyte.String(st.Certificates[0])
	// RFC 5280, section 4.1.
	var certificate, tbs, validity cryptobyte.String
	if !der.ReadASN1(&certificate, asn1.SEQUENCE) ||
		!certificate.ReadASN1(&tbs, asn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(asn1.Tag(0).Constructed().ContextSpecific()) || // version
		!tbs.SkipASN1(asn1.INTEGER) || // serialNumber
		!tbs.SkipASN1(asn1.SEQUENCE) || // signature
		!tbs.SkipASN1(asn1.SEQUENCE) || // issuer
		!tbs.ReadASN1(&validity, asn1.SEQUENCE) ||
		!readTime(&validity, &notBefore) || !readTime(&validity, &notAfter) {
		return time.Time{}, time.Time{}, ErrMalformed
	}
	return notBefore, notAfter, nil
}

// readTime reads the Time of RFC 5280, section 4.1.2.5: a UTCTime until 2049, and a
// GeneralizedTime from then on.
func readTime(s *cryptobyte.String, t *time.Time) bool {
	if s.PeekASN1Tag(asn1.UTCTime) {
		return s.ReadASN1UTCTime(t)
	}
	return s.ReadASN1GeneralizedTime(t)
}
