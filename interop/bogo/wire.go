package main

import "encoding/binary"

// The functions below read from the wire what crypto/tls and the engine do not report about
// a handshake. In TLS 1.2 all of it except the Finished is in the clear.

const (
	recordChangeCipherSpec = 20
	recordHandshake        = 22

	messageServerHello        = 2
	messageServerKeyExchange  = 12
	messageCertificateRequest = 13
	messageCertificateVerify  = 15

	extRenegotiationInfo = 0xff01
)

// messages returns the handshake messages in records before a ChangeCipherSpec, by type.
func messages(records []byte) map[byte][]byte {
	var stream []byte
	for len(records) >= 5 && records[0] != recordChangeCipherSpec {
		n := 5 + int(binary.BigEndian.Uint16(records[3:]))
		if len(records) < n {
			break
		}
		if records[0] == recordHandshake {
			stream = append(stream, records[5:n]...)
		}
		records = records[n:]
	}
	all := make(map[byte][]byte)
	for len(stream) >= 4 {
		n := 4 + int(binary.BigEndian.Uint32(stream)&0xffffff)
		if len(stream) < n {
			break
		}
		all[stream[0]] = stream[4:n]
		stream = stream[n:]
	}
	return all
}

// peerScheme returns the signature scheme of the peer's ServerKeyExchange or
// CertificateVerify, or zero.
func peerScheme(records []byte) uint16 {
	all := messages(records)
	if m := all[messageServerKeyExchange]; len(m) > 4 && len(m) >= 6+int(m[3]) {
		return binary.BigEndian.Uint16(m[4+int(m[3]):])
	}
	if m := all[messageCertificateVerify]; len(m) >= 2 {
		return binary.BigEndian.Uint16(m)
	}
	return 0
}

// certificateTypes returns the types that the CertificateRequest in records asks for.
func certificateTypes(records []byte) string {
	m := messages(records)[messageCertificateRequest]
	if len(m) == 0 || len(m) < 1+int(m[0]) {
		return ""
	}
	return string(m[1 : 1+int(m[0])])
}

// answersRenegotiationInfo reports whether the ServerHello in records has the extension of
// RFC 5746.
func answersRenegotiationInfo(records []byte) bool {
	m := messages(records)[messageServerHello]
	const random = 2 + 32
	if len(m) <= random || len(m) < random+1+int(m[random])+5 {
		return false
	}
	for list := m[random+1+int(m[random])+5:]; len(list) >= 4; {
		if binary.BigEndian.Uint16(list) == extRenegotiationInfo {
			return true
		}
		n := 4 + int(binary.BigEndian.Uint16(list[2:]))
		if len(list) < n {
			break
		}
		list = list[n:]
	}
	return false
}
