package tls12

import (
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

type messageType uint8

const (
	typeHelloRequest       messageType = 0
	typeClientHello        messageType = 1
	typeServerHello        messageType = 2
	typeCertificate        messageType = 11
	typeServerKeyExchange  messageType = 12
	typeCertificateRequest messageType = 13
	typeServerHelloDone    messageType = 14
	typeCertificateVerify  messageType = 15
	typeClientKeyExchange  messageType = 16
	typeFinished           messageType = 20
	typeCertificateStatus  messageType = 22
)

const (
	messageHeaderLen = 4   // type and length
	usualMessage     = 128 // enough for a ServerHello and most other messages
)

// A message is the body of a handshake message (RFC 5246, section 7.4). parse
// accepts a body only as a whole, marshal reproduces the same bytes, and what was
// parsed refers to the bytes it was parsed from.
type message interface {
	kind() messageType
	parse(body cryptobyte.String) bool
	marshal(b *cryptobyte.Builder)
}

// encodeMessage returns a message with its header.
func encodeMessage(m message) ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, usualMessage))
	b.AddUint8(uint8(m.kind()))
	b.AddUint24LengthPrefixed(m.marshal)
	return b.Bytes()
}

// parseMessage parses a whole message with its header.
func parseMessage(m message, raw []byte) bool {
	s := cryptobyte.String(raw)
	var kind uint8
	var body cryptobyte.String
	return s.ReadUint8(&kind) &&
		messageType(kind) == m.kind() &&
		s.ReadUint24LengthPrefixed(&body) &&
		s.Empty() &&
		m.parse(body)
}

// certificateMsg carries a chain, leaf first; a client's may be empty.
type certificateMsg struct{ chain [][]byte }

func (*certificateMsg) kind() messageType { return typeCertificate }

func (m *certificateMsg) parse(s cryptobyte.String) bool {
	var list cryptobyte.String
	m.chain = [][]byte{} // not nil: crypto/tls passes the same to VerifyPeerCertificate
	return s.ReadUint24LengthPrefixed(&list) && s.Empty() &&
		readList(list, &m.chain, readCertificate)
}

func (m *certificateMsg) marshal(b *cryptobyte.Builder) {
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, der := range m.chain {
			b.AddUint24LengthPrefixed(addBytes(der))
		}
	})
}

// certificateStatusMsg carries an OCSP response (RFC 6066, section 8).
type certificateStatusMsg struct{ response []byte }

func (*certificateStatusMsg) kind() messageType { return typeCertificateStatus }

func (m *certificateStatusMsg) parse(s cryptobyte.String) bool {
	var status uint8
	return s.ReadUint8(&status) && status == statusOCSP &&
		s.ReadUint24LengthPrefixed((*cryptobyte.String)(&m.response)) && len(m.response) > 0 &&
		s.Empty()
}

func (m *certificateStatusMsg) marshal(b *cryptobyte.Builder) {
	b.AddUint8(statusOCSP)
	b.AddUint24LengthPrefixed(addBytes(m.response))
}

// serverKeyExchangeMsg carries the server's signed key share (RFC 8422, section
// 5.4).
type serverKeyExchangeMsg struct {
	group     uint16
	public    []byte
	scheme    uint16
	signature []byte
}

const curveTypeNamed = 3

func (*serverKeyExchangeMsg) kind() messageType { return typeServerKeyExchange }

func (m *serverKeyExchangeMsg) parse(s cryptobyte.String) bool {
	var curveType uint8
	return s.ReadUint8(&curveType) && curveType == curveTypeNamed &&
		s.ReadUint16(&m.group) &&
		s.ReadUint8LengthPrefixed((*cryptobyte.String)(&m.public)) && len(m.public) > 0 &&
		s.ReadUint16(&m.scheme) &&
		s.ReadUint16LengthPrefixed((*cryptobyte.String)(&m.signature)) &&
		s.Empty()
}

func (m *serverKeyExchangeMsg) marshal(b *cryptobyte.Builder) {
	m.marshalParams(b)
	b.AddUint16(m.scheme)
	b.AddUint16LengthPrefixed(addBytes(m.signature))
}

// marshalParams appends the part that the signature covers.
func (m *serverKeyExchangeMsg) marshalParams(b *cryptobyte.Builder) {
	b.AddUint8(curveTypeNamed)
	b.AddUint16(m.group)
	b.AddUint8LengthPrefixed(addBytes(m.public))
}

// signed returns the bytes that the signature covers.
func (m *serverKeyExchangeMsg) signed(clientRandom, serverRandom []byte) []byte {
	b := cryptobyte.NewBuilder(slices.Concat(clientRandom, serverRandom))
	m.marshalParams(b)
	return b.BytesOrPanic() // a key share is shorter than 256 bytes
}

// certificateRequestMsg asks the client for a certificate (RFC 5246, section
// 7.4.4).
type certificateRequestMsg struct {
	types       []byte
	schemes     []uint16
	authorities [][]byte
}

const (
	certTypeRSASign   = 1
	certTypeECDSASign = 64
)

func (*certificateRequestMsg) kind() messageType { return typeCertificateRequest }

func (m *certificateRequestMsg) parse(s cryptobyte.String) bool {
	var schemes, authorities cryptobyte.String
	return s.ReadUint8LengthPrefixed((*cryptobyte.String)(&m.types)) && len(m.types) > 0 &&
		s.ReadUint16LengthPrefixed(&schemes) && !schemes.Empty() &&
		readList(schemes, &m.schemes, (*cryptobyte.String).ReadUint16) &&
		s.ReadUint16LengthPrefixed(&authorities) &&
		readList(authorities, &m.authorities, readName) &&
		s.Empty()
}

func (m *certificateRequestMsg) marshal(b *cryptobyte.Builder) {
	b.AddUint8LengthPrefixed(addBytes(m.types))
	b.AddUint16LengthPrefixed(addUint16s(m.schemes))
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, name := range m.authorities {
			b.AddUint16LengthPrefixed(addBytes(name))
		}
	})
}

// clientKeyExchangeMsg carries the client's key share (RFC 8422, section 5.7).
type clientKeyExchangeMsg struct{ public []byte }

func (*clientKeyExchangeMsg) kind() messageType { return typeClientKeyExchange }

func (m *clientKeyExchangeMsg) parse(s cryptobyte.String) bool {
	return s.ReadUint8LengthPrefixed((*cryptobyte.String)(&m.public)) && len(m.public) > 0 && s.Empty()
}

func (m *clientKeyExchangeMsg) marshal(b *cryptobyte.Builder) {
	b.AddUint8LengthPrefixed(addBytes(m.public))
}

// certificateVerifyMsg proves that the client has its certificate's key (RFC 5246,
// section 7.4.8).
type certificateVerifyMsg struct {
	scheme    uint16
	signature []byte
}

func (*certificateVerifyMsg) kind() messageType { return typeCertificateVerify }

func (m *certificateVerifyMsg) parse(s cryptobyte.String) bool {
	return s.ReadUint16(&m.scheme) &&
		s.ReadUint16LengthPrefixed((*cryptobyte.String)(&m.signature)) &&
		s.Empty()
}

func (m *certificateVerifyMsg) marshal(b *cryptobyte.Builder) {
	b.AddUint16(m.scheme)
	b.AddUint16LengthPrefixed(addBytes(m.signature))
}

// finishedMsg is the first message under the new keys (RFC 5246, section 7.4.9). The
// length of its content depends on the suite, so a Finished of another length is
// not malformed but wrong.
type finishedMsg struct{ verifyData []byte }

func (*finishedMsg) kind() messageType { return typeFinished }

func (m *finishedMsg) parse(s cryptobyte.String) bool {
	m.verifyData = s
	return true
}

func (m *finishedMsg) marshal(b *cryptobyte.Builder) { b.AddBytes(m.verifyData) }

// serverHelloDoneMsg and helloRequestMsg have no content.
type (
	serverHelloDoneMsg struct{}
	helloRequestMsg    struct{}
)

func (*serverHelloDoneMsg) kind() messageType              { return typeServerHelloDone }
func (*serverHelloDoneMsg) parse(s cryptobyte.String) bool { return s.Empty() }
func (*serverHelloDoneMsg) marshal(*cryptobyte.Builder)    {}

func (*helloRequestMsg) kind() messageType              { return typeHelloRequest }
func (*helloRequestMsg) parse(s cryptobyte.String) bool { return s.Empty() }
func (*helloRequestMsg) marshal(*cryptobyte.Builder)    {}
