package sslsession

import (
	"bytes"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// fields passes every field to v, in the order of the encoding (OpenSSL's ssl/ssl_asn1.c).
// Both the reader and the writer follow it:
//
//	SSL_SESSION ::= SEQUENCE {
//	    version                       INTEGER,            -- 1
//	    ssl_version                   INTEGER,
//	    cipher                        OCTET STRING,       -- 2 bytes
//	    session_id                    OCTET STRING,
//	    master_key                    OCTET STRING,
//	    time                      [1] INTEGER OPTIONAL,
//	    timeout                   [2] INTEGER OPTIONAL,
//	    peer                      [3] Certificate OPTIONAL,
//	    session_id_context        [4] OCTET STRING,
//	    verify_result             [5] INTEGER OPTIONAL,
//	    hostname                  [6] OCTET STRING OPTIONAL,
//	    psk_identity_hint         [7] OCTET STRING OPTIONAL,
//	    psk_identity              [8] OCTET STRING OPTIONAL,
//	    ticket_lifetime_hint      [9] INTEGER OPTIONAL,
//	    ticket                   [10] OCTET STRING OPTIONAL,
//	    compression_id           [11] OCTET STRING OPTIONAL,  -- 1 byte
//	    srp_username             [12] OCTET STRING OPTIONAL,
//	    flags                    [13] INTEGER OPTIONAL,
//	    ticket_age_add           [14] INTEGER OPTIONAL,
//	    max_early_data           [15] INTEGER OPTIONAL,
//	    alpn_selected            [16] OCTET STRING OPTIONAL,
//	    max_fragment_length_mode [17] INTEGER OPTIONAL,
//	    ticket_appdata           [18] OCTET STRING OPTIONAL,
//	    kex_group                [19] INTEGER,            -- since 3.0
//	    peer_rpk                 [20] OCTET STRING OPTIONAL  -- since 3.2
//	}
//
// All tags are explicit. OpenSSL leaves out an optional INTEGER that is 0. Tag
// [0] was key_arg, used only by SSL 2.0.
func (s *Session) fields(v visitor) {
	v.structure()
	v.version(&s.Version)
	v.suite(&s.CipherSuite)
	v.octets("session id", &s.ID, maxID)
	v.octets("master key", &s.MasterKey, maxKey)
	number(v, 1, "time", &s.Time)
	number(v, 2, "timeout", &s.Timeout)
	v.optional(3, "peer certificate", &s.PeerCertificate, certificate)
	v.context(&s.IDContext)
	number(v, 5, "verify result", &s.VerifyResult)
	v.optional(6, "server name", &s.ServerName, text)
	v.optional(7, "PSK identity hint", &s.PSKIdentityHint, text)
	v.optional(8, "PSK identity", &s.PSKIdentity, text)
	number(v, 9, "ticket lifetime hint", &s.TicketLifetimeHint)
	v.optional(10, "ticket", &s.Ticket, octets)
	v.compression(&s.Compression)
	v.optional(12, "SRP user", &s.SRPUser, text)
	number(v, 13, "flags", &s.Flags)
	number(v, 14, "ticket age add", &s.TicketAgeAdd)
	number(v, 15, "max early data", &s.MaxEarlyData)
	v.optional(16, "ALPN", &s.ALPN, octets)
	number(v, 17, "max fragment length", &s.MaxFragmentLength)
	v.optional(18, "ticket application data", &s.TicketData, octets)
	v.group(&s.Group, &s.WithoutGroup)
	v.optional(20, "peer public key", &s.PeerPublicKey, publicKey)
	v.unknown(&s.Unknown)
}

// A visitor reads or writes one field after the other.
type visitor interface {
	structure()
	version(*uint16)
	suite(*uint16)
	octets(field string, b *[]byte, most int)
	context(*[]byte)
	number(tag uint8, field string, n int64, fits func(int64) bool) int64
	optional(tag uint8, field string, b *[]byte, c content)
	compression(*uint8)
	group(n *uint32, without *bool)
	unknown(*[]byte)
}

func number[T int32 | int64 | uint8 | uint32](v visitor, tag uint8, field string, n *T) {
	*n = T(v.number(tag, field, int64(*n), func(read int64) bool { return int64(T(read)) == read }))
}

// content is what an optional field holds.
type content int

const (
	octets content = iota
	text
	certificate // not within an OCTET STRING
	publicKey
)

// problem describes what is wrong with b. It returns "" if b is valid.
func (c content) problem(b []byte) string {
	switch {
	case c == text && bytes.IndexByte(b, 0) >= 0:
		return "contains a NUL"
	case c == certificate && !isCertificate(b):
		return "is not a Certificate in DER"
	case c == publicKey && !isPublicKey(b):
		return "is not a SubjectPublicKeyInfo in DER"
	}
	return ""
}

// isCertificate reports whether b has the outer form of a Certificate (RFC 5280 section
// 4.1).
func isCertificate(b cryptobyte.String) bool {
	var certificate cryptobyte.String
	return b.ReadASN1(&certificate, asn1.SEQUENCE) && b.Empty() &&
		certificate.SkipASN1(asn1.SEQUENCE) && certificate.SkipASN1(asn1.SEQUENCE) &&
		certificate.SkipASN1(asn1.BIT_STRING) && certificate.Empty()
}

// isPublicKey reports whether b has the outer form of a SubjectPublicKeyInfo (RFC 5280
// section 4.1).
func isPublicKey(b cryptobyte.String) bool {
	var key cryptobyte.String
	return b.ReadASN1(&key, asn1.SEQUENCE) && b.Empty() &&
		key.SkipASN1(asn1.SEQUENCE) && key.SkipASN1(asn1.BIT_STRING) && key.Empty()
}

// explicit returns the tag of an EXPLICIT context-specific field.
func explicit(tag uint8) asn1.Tag { return asn1.Tag(tag).ContextSpecific().Constructed() }

// knownVersion reports whether OpenSSL reads sessions of a protocol version: SSL 3.0, TLS,
// DTLS and DTLS1_BAD_VER.
func knownVersion(n int64) bool { return n>>8 == 3 || n>>8 == 0xfe || n == 0x0100 }
