package tls12

import "crypto/tls"

// HelloInfo parses a ClientHello, given as a handshake message with its header, for
// [Suits]. The result has the fields that crypto/tls would set, but no connection,
// context or configuration, and it refers to raw. HelloInfo returns nil if the
// message is malformed; it does not look into extensions that this engine ignores.
func HelloInfo(raw []byte) *tls.ClientHelloInfo {
	var msg clientHelloMsg
	var o offer
	if !parseMessage(&msg, raw) || !o.parse(msg.extensions.list) {
		return nil
	}
	return &tls.ClientHelloInfo{
		CipherSuites:      msg.suites,
		ServerName:        o.serverName,
		SupportedCurves:   o.groups,
		SupportedPoints:   o.points,
		SignatureSchemes:  o.schemes,
		SupportedProtos:   o.protocols,
		SupportedVersions: versionsOf(&msg, &o),
		Extensions:        msg.extensions.kinds(),
	}
}

// versionsOf returns the versions that a client lists or, without a list, every
// version up to the highest that it names (RFC 8446, section 4.2.1).
func versionsOf(msg *clientHelloMsg, o *offer) (versions []uint16) {
	if len(o.versions) > 0 {
		return o.versions
	}
	for v := uint16(tls.VersionTLS13); v >= tls.VersionTLS10; v-- {
		if v <= msg.version {
			versions = append(versions, v)
		}
	}
	return versions
}
