package tls12

import (
	"crypto/tls"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// An offer is the content of a ClientHello's extensions.
type offer struct {
	serverName       string
	protocols        []string
	groups           []tls.CurveID
	points           []byte
	schemes          []tls.SignatureScheme
	versions         []uint16
	status           bool // the client accepts an OCSP staple
	timestamps       bool // the client accepts signed certificate timestamps
	extendedMaster   bool
	ticket           bool
	renegotiation    bool
	renegotiationOld []byte // the verify_data of the previous handshake
}

// parse reads the extensions that this package uses, each to its last byte, and
// ignores the others.
func (o *offer) parse(list []extension) bool {
	for _, one := range list {
		data := one.data
		if !o.parseOne(one.kind, &data) || !data.Empty() {
			return false
		}
	}
	return true
}

func (o *offer) parseOne(kind extensionType, s *cryptobyte.String) bool {
	switch kind {
	case extServerName:
		return o.parseServerName(s)
	case extStatusRequest:
		return o.parseStatusRequest(s)
	case extSupportedGroups:
		return readUint16s(s, &o.groups)
	case extPointFormats:
		return s.ReadUint8LengthPrefixed((*cryptobyte.String)(&o.points)) && len(o.points) > 0
	case extSignatureAlgorithms:
		return readUint16s(s, &o.schemes)
	case extALPN:
		return o.parseProtocols(s)
	case extSupportedVersions:
		var list cryptobyte.String
		return s.ReadUint8LengthPrefixed(&list) && !list.Empty() &&
			readList(list, &o.versions, (*cryptobyte.String).ReadUint16)
	case extRenegotiationInfo:
		o.renegotiation = true
		return s.ReadUint8LengthPrefixed((*cryptobyte.String)(&o.renegotiationOld))
	case extSCT:
		o.timestamps = true
	case extExtendedMasterSecret:
		o.extendedMaster = true
	case extSessionTicket:
		o.ticket = true
		return s.Skip(len(*s))
	default:
		return s.Skip(len(*s))
	}
	return true
}

// parseServerName reads one host name, without a trailing dot (RFC 6066, section 3).
func (o *offer) parseServerName(s *cryptobyte.String) bool {
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || list.Empty() {
		return false
	}
	for !list.Empty() {
		var kind uint8
		var name cryptobyte.String
		if !list.ReadUint8(&kind) || !list.ReadUint16LengthPrefixed(&name) || name.Empty() {
			return false
		}
		if kind != 0 {
			continue
		}
		if o.serverName != "" {
			return false
		}
		o.serverName = string(name)
	}
	return !strings.HasSuffix(o.serverName, ".")
}

// parseStatusRequest reads RFC 6066, section 8. It ignores which responders and
// extensions the client prefers, because the certificate has only one staple.
func (o *offer) parseStatusRequest(s *cryptobyte.String) bool {
	var kind uint8
	var responders, extensions cryptobyte.String
	if !s.ReadUint8(&kind) || !s.ReadUint16LengthPrefixed(&responders) || !s.ReadUint16LengthPrefixed(&extensions) {
		return false
	}
	o.status = kind == statusOCSP
	return true
}

func (o *offer) parseProtocols(s *cryptobyte.String) bool {
	var list cryptobyte.String
	return s.ReadUint16LengthPrefixed(&list) && !list.Empty() && readList(list, &o.protocols, readProtocol)
}

// readUint16s reads a list of at least one 16-bit number.
func readUint16s[T ~uint16](s *cryptobyte.String, to *[]T) bool {
	var list cryptobyte.String
	return s.ReadUint16LengthPrefixed(&list) && !list.Empty() && readList(list, to, readUint16)
}

func readUint16[T ~uint16](s *cryptobyte.String, to *T) bool {
	var v uint16
	ok := s.ReadUint16(&v)
	*to = T(v)
	return ok
}
