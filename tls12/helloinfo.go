package tls12

import "crypto/tls"

// HelloInfo returns what a ClientHello says, a handshake message with its header, in
// the form in which [Suits] takes it: as crypto/tls has it, but without a connection, a
// context and a configuration. It returns nil if the message is malformed; extensions that
// this engine ignores are not looked into. What it returns refers to raw.
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

// versionsOf returns the versions that a client lists, or else those up to the highest
// that it names (RFC 8446, section 4.2.1).
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
