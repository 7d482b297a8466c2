package tls12

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// clientStart is about to send the ClientHello.
type clientStart struct{ *clientHandshake }

func (h *clientStart) sendHello() (*helloSent, error) {
	random, err := newRandom(h.c.config)
	if err != nil {
		return nil, err
	}
	h.hello = clientHelloMsg{
		version:      versionTLS12,
		random:       random,
		suites:       h.suites(),
		compressions: []byte{compressionNone},
	}
	if s := h.c.proposed; s != nil && mayPropose(h.c.config, s) {
		h.offer, h.hello.sessionID = s, s.ID
	}
	h.addExtensions(&h.hello.extensions)
	if h.raw, err = encodeMessage(&h.hello); err != nil {
		return nil, fail(alertInternalError, "encoding the ClientHello: %w", err)
	}
	h.c.out.Lock()
	_, err = h.c.out.write(recordHandshake, h.raw)
	h.c.out.Unlock()
	if err != nil {
		return nil, err
	}
	return &helloSent{h.clientHandshake}, h.c.flush()
}

func (h *clientStart) suites() (ids []uint16) {
	order := chachaFirst
	if fastAES() {
		order = aesFirst
	}
	for _, s := range order {
		if allowsSuite(h.c.config, s.id) {
			ids = append(ids, s.id)
		}
	}
	return ids
}

// addExtensions adds the client's offer. The server may answer no other extension.
func (h *clientStart) addExtensions(to *extensions) {
	config := h.c.config
	h.c.agreed.serverName = hostName(config.ServerName)
	if name := h.c.agreed.serverName; name != "" {
		to.add(extServerName, addServerName(name))
	}
	to.add(extStatusRequest, addBytes([]byte{statusOCSP, 0, 0, 0, 0}))
	to.add(extSupportedGroups, addNumbers(allowedGroups(config)))
	to.add(extPointFormats, addBytes([]byte{1, pointUncompressed}))
	to.add(extSignatureAlgorithms, addNumbers(allSchemes))
	to.add(extRenegotiationInfo, addBytes([]byte{0}))
	to.add(extExtendedMasterSecret, nil)
	if len(config.NextProtos) > 0 {
		to.add(extALPN, addProtocols(config.NextProtos))
	}
	to.add(extSCT, nil)
}

func addServerName(name string) cryptobyte.BuilderContinuation {
	return func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint8(0) // host_name
			b.AddUint16LengthPrefixed(addBytes([]byte(name)))
		})
	}
}

func addNumbers[T ~uint16](list []T) cryptobyte.BuilderContinuation {
	return func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, v := range list {
				b.AddUint16(uint16(v))
			}
		})
	}
}

// hostName returns the name to send as SNI: not an IP address, without a trailing
// dot (RFC 6066, section 3), and not too long to be encoded.
func hostName(name string) string {
	host := strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	host, _, _ = strings.Cut(host, "%")
	if net.ParseIP(host) != nil || len(name) > 255 {
		return ""
	}
	return strings.TrimRight(name, ".")
}

// mayPropose reports whether config would accept the session again.
func mayPropose(config *tls.Config, s *Session) bool {
	return len(s.ID) > 0 && len(s.ID) <= maxSessionIDLen &&
		len(s.MasterSecret) == masterSecretLen && s.ExtendedMasterSecret &&
		suiteByID(s.CipherSuite) != nil && allowsSuite(config, s.CipherSuite) &&
		(config.InsecureSkipVerify || len(todaysChains(config, s.PeerCertificates)) > 0)
}

// todaysChains verifies a session's certificates under the roots, server name and
// clock of config. It returns nil if they are no longer valid.
func todaysChains(config *tls.Config, certificates []*x509.Certificate) [][]*x509.Certificate {
	if len(certificates) == 0 {
		return nil
	}
	chains, err := verifyServerChain(config, certificates)
	if err != nil {
		return nil
	}
	return chains
}

// helloSent waits for the ServerHello.
type helloSent struct{ *clientHandshake }

func (h *helloSent) readServerHello() (*serverHelloRead, error) {
	next := &serverHelloRead{clientHandshake: h.clientHandshake}
	raw, err := h.c.readMessage(&next.reply)
	if err != nil {
		return nil, err
	}
	if err := h.check(&next.reply); err != nil {
		return nil, err
	}
	for _, one := range next.reply.extensions.list {
		if !h.hello.extensions.has(one.kind) {
			return nil, fail(alertUnsupportedExtension, "the server answers extension %d, which was not offered", one.kind)
		}
	}
	if !next.answer.parse(next.reply.extensions.list) {
		return nil, fail(alertDecodeError, "an extension of the ServerHello is malformed")
	}
	h.c.in.known, h.c.out.version = true, versionTLS12
	h.suite = suiteByID(next.reply.suite)
	h.transcript = transcript{hash: h.suite.hash.New(), keep: hasCertificate(h.c.config)}
	h.transcript.add(h.raw)
	h.transcript.add(raw)
	h.raw = nil
	return next, next.agree()
}

func hasCertificate(config *tls.Config) bool {
	return len(config.Certificates) > 0 || config.GetClientCertificate != nil
}

// check refuses what was not offered, and a downgrade.
func (h *helloSent) check(m *serverHelloMsg) error {
	switch {
	case m.version != versionTLS12:
		return fail(alertProtocolVersion, "the server selects version %#04x", m.version)
	case string(m.random[randomLen-len(sentinelTLS11):]) == sentinelTLS11:
		return fail(alertIllegalParameter, "the server signals a downgrade (RFC 8446, section 4.1.3)")
	case !slices.Contains(h.hello.suites, m.suite):
		return fail(alertIllegalParameter, "the server selects suite %#04x, which was not offered", m.suite)
	case m.compression != compressionNone:
		return fail(alertIllegalParameter, "the server selects compression")
	}
	return nil
}

// An answer is the content of a ServerHello's extensions.
type answer struct {
	protocol         string
	timestamps       [][]byte
	points           []byte
	status           bool // a staple may follow
	extendedMaster   bool
	renegotiationOld []byte
}

func (a *answer) parse(list []extension) bool {
	for _, one := range list {
		data := one.data
		if !a.parseOne(one.kind, &data) || !data.Empty() {
			return false
		}
	}
	return true
}

func (a *answer) parseOne(kind extensionType, s *cryptobyte.String) bool {
	switch kind {
	case extStatusRequest:
		a.status = true
	case extExtendedMasterSecret:
		a.extendedMaster = true
	case extRenegotiationInfo:
		return s.ReadUint8LengthPrefixed((*cryptobyte.String)(&a.renegotiationOld))
	case extPointFormats:
		return s.ReadUint8LengthPrefixed((*cryptobyte.String)(&a.points)) && len(a.points) > 0
	case extSupportedGroups: // not allowed here, but some servers send it
		return s.Skip(len(*s))
	case extALPN:
		var list cryptobyte.String
		return s.ReadUint16LengthPrefixed(&list) && readProtocol(&list, &a.protocol) && list.Empty()
	case extSCT:
		var list cryptobyte.String
		return s.ReadUint16LengthPrefixed(&list) && !list.Empty() && readList(list, &a.timestamps, readName)
	}
	return true
}

// serverHelloRead has the ServerHello, which tells which handshake follows.
type serverHelloRead struct {
	*clientHandshake
	reply  serverHelloMsg
	answer answer
}

// agree checks and records what the extensions say.
func (h *serverHelloRead) agree() error {
	switch {
	case len(h.answer.renegotiationOld) != 0:
		return fail(alertHandshakeFailure, "the server takes the first handshake for a renegotiation (RFC 5746, section 3.4)")
	case len(h.answer.points) > 0 && !bytes.Contains(h.answer.points, []byte{pointUncompressed}):
		return fail(alertIllegalParameter, "the server does not accept uncompressed points (RFC 8422, section 5.1)")
	case h.answer.protocol != "" && !slices.Contains(h.c.config.NextProtos, h.answer.protocol):
		return fail(alertIllegalParameter, "the server selects the protocol %q, which was not offered", h.answer.protocol)
	}
	agreed := &h.c.agreed
	agreed.suite = h.suite.id
	agreed.protocol = h.answer.protocol
	agreed.timestamps = h.answer.timestamps
	agreed.extendedMaster = h.answer.extendedMaster
	return nil
}

// resumes reports whether the server echoed the session's id and so resumes it.
func (h *serverHelloRead) resumes() (bool, error) {
	s := h.offer
	switch {
	case s == nil || !bytes.Equal(s.ID, h.reply.sessionID):
		return false, nil
	case s.CipherSuite != h.suite.id: // CVE-2010-4180
		return false, fail(alertIllegalParameter, "the server resumes a session under another cipher suite")
	case !h.answer.extendedMaster: // RFC 7627, section 5.3
		return false, fail(alertHandshakeFailure, "the server resumes a session without its extended master secret")
	}
	return true, nil
}
