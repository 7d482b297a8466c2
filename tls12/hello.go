package tls12

import (
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

const (
	versionTLS12      uint16 = 0x0303
	maxSessionIDLen          = 32
	compressionNone          = 0
	pointUncompressed        = 0
	statusOCSP        uint8  = 1
)

// clientHelloMsg is RFC 5246, section 7.4.1.2.
type clientHelloMsg struct {
	version      uint16
	random       []byte
	sessionID    []byte
	suites       []uint16
	compressions []byte
	extensions   extensions
}

func (*clientHelloMsg) kind() messageType { return typeClientHello }

func (m *clientHelloMsg) parse(s cryptobyte.String) bool {
	var suites cryptobyte.String
	return s.ReadUint16(&m.version) &&
		s.ReadBytes(&m.random, randomLen) &&
		s.ReadUint8LengthPrefixed((*cryptobyte.String)(&m.sessionID)) && len(m.sessionID) <= maxSessionIDLen &&
		s.ReadUint16LengthPrefixed(&suites) && !suites.Empty() &&
		readList(suites, &m.suites, (*cryptobyte.String).ReadUint16) &&
		s.ReadUint8LengthPrefixed((*cryptobyte.String)(&m.compressions)) && len(m.compressions) > 0 &&
		m.extensions.parse(&s) &&
		s.Empty()
}

func (m *clientHelloMsg) marshal(b *cryptobyte.Builder) {
	b.AddUint16(m.version)
	b.AddBytes(m.random)
	b.AddUint8LengthPrefixed(addBytes(m.sessionID))
	b.AddUint16LengthPrefixed(addUint16s(m.suites))
	b.AddUint8LengthPrefixed(addBytes(m.compressions))
	m.extensions.marshal(b)
}

// serverHelloMsg is RFC 5246, section 7.4.1.3.
type serverHelloMsg struct {
	version     uint16
	random      []byte
	sessionID   []byte
	suite       uint16
	compression uint8
	extensions  extensions
}

func (*serverHelloMsg) kind() messageType { return typeServerHello }

func (m *serverHelloMsg) parse(s cryptobyte.String) bool {
	return s.ReadUint16(&m.version) &&
		s.ReadBytes(&m.random, randomLen) &&
		s.ReadUint8LengthPrefixed((*cryptobyte.String)(&m.sessionID)) && len(m.sessionID) <= maxSessionIDLen &&
		s.ReadUint16(&m.suite) &&
		s.ReadUint8(&m.compression) &&
		m.extensions.parse(&s) &&
		s.Empty()
}

func (m *serverHelloMsg) marshal(b *cryptobyte.Builder) {
	b.AddUint16(m.version)
	b.AddBytes(m.random)
	b.AddUint8LengthPrefixed(addBytes(m.sessionID))
	b.AddUint16(m.suite)
	b.AddUint8(m.compression)
	m.extensions.marshal(b)
}

type extensionType = uint16

const (
	extServerName           extensionType = 0
	extStatusRequest        extensionType = 5
	extSupportedGroups      extensionType = 10
	extPointFormats         extensionType = 11
	extSignatureAlgorithms  extensionType = 13
	extALPN                 extensionType = 16
	extSCT                  extensionType = 18
	extExtendedMasterSecret extensionType = 23
	extSessionTicket        extensionType = 35
	extSupportedVersions    extensionType = 43
	extRenegotiationInfo    extensionType = 0xff01
)

// extensions are the extensions of a hello, in order. A hello without the list
// differs from one with an empty list.
type extensions struct {
	present bool
	list    []extension
}

type extension struct {
	kind extensionType
	data cryptobyte.String
}

func (e *extensions) parse(s *cryptobyte.String) bool {
	if s.Empty() {
		return true
	}
	var list cryptobyte.String
	e.present = true
	return s.ReadUint16LengthPrefixed(&list) && readList(list, &e.list, e.readOne)
}

// maxExtensions limits the cost of finding duplicates. It is far above what clients
// send.
const maxExtensions = 256

// readOne reads an extension, and refuses a duplicate (RFC 5246, section 7.4.1.4).
func (e *extensions) readOne(s *cryptobyte.String, to *extension) bool {
	return len(e.list) < maxExtensions &&
		s.ReadUint16(&to.kind) && !e.has(to.kind) &&
		s.ReadUint16LengthPrefixed(&to.data)
}

func (e *extensions) marshal(b *cryptobyte.Builder) {
	if !e.present {
		return
	}
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, one := range e.list {
			b.AddUint16(one.kind)
			b.AddUint16LengthPrefixed(addBytes(one.data))
		}
	})
}

// add appends an extension. content is at most 64 KiB; nil means empty.
func (e *extensions) add(kind extensionType, content cryptobyte.BuilderContinuation) {
	var b cryptobyte.Builder
	if content != nil {
		content(&b)
	}
	e.present = true
	e.list = append(e.list, extension{kind, b.BytesOrPanic()})
}

// has reports whether the list contains an extension.
func (e *extensions) has(kind extensionType) bool {
	return slices.ContainsFunc(e.list, func(one extension) bool { return one.kind == kind })
}

// kinds returns the types of the extensions, in order.
func (e *extensions) kinds() []uint16 {
	kinds := make([]uint16, len(e.list))
	for i, one := range e.list {
		kinds[i] = one.kind
	}
	return kinds
}
