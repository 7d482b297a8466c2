package tls12

import (
	"errors"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// serverStart waits for the ClientHello.
type serverStart struct{ *serverHandshake }

// readClientHello reads the ClientHello, and refuses one that allows neither a full
// nor an abbreviated handshake.
func (h *serverStart) readClientHello() (*helloRead, error) {
	var err error
	if h.raw, err = h.c.readMessage(&h.msg); err != nil {
		return nil, err
	}
	if !h.offer.parse(h.msg.extensions.list) {
		return nil, fail(alertDecodeError, "an extension of the ClientHello is malformed")
	}
	if err := h.c.in.nothingLeft(); err != nil {
		return nil, err
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	h.c.in.known = true
	agreed := &h.c.agreed
	if agreed.protocol, err = chooseProtocol(h.c.config.NextProtos, h.offer.protocols); err != nil {
		return nil, err
	}
	agreed.serverName = h.offer.serverName
	h.view = h.clientHello()
	return &helloRead{h.serverHandshake}, nil
}

// check refuses other versions, renegotiation and downgrades.
func (h *serverStart) check() error {
	switch versions := h.offer.versions; {
	case len(versions) > 0 && !slices.Contains(versions, versionTLS12):
		return fail(alertProtocolVersion, "the client offers only the versions %#04x", versions)
	case len(versions) == 0 && h.msg.version < versionTLS12:
		return fail(alertProtocolVersion, "the client offers at most version %#04x", h.msg.version)
	case !slices.Contains(h.msg.compressions, compressionNone):
		return fail(alertIllegalParameter, "the client insists on compression")
	case len(h.offer.renegotiationOld) != 0:
		return fail(alertHandshakeFailure, "the client takes the first handshake for a renegotiation (RFC 5746, section 3.6)")
	case slices.Contains(h.msg.suites, fallbackSCSV) && allowsTLS13(h.c.config):
		return fail(alertInappropriateFallback, "the client fell back from a version that this server supports (RFC 7507)")
	}
	return nil
}

func (h *serverStart) clientHello() *ClientHello {
	return &ClientHello{
		Conn:                 h.c.conn,
		ServerName:           h.offer.serverName,
		Protocols:            h.offer.protocols,
		ALPN:                 h.c.agreed.protocol,
		CipherSuites:         h.msg.suites,
		Extensions:           h.msg.extensions.kinds(),
		ExtendedMasterSecret: h.offer.extendedMaster,
		SessionTicket:        h.offer.ticket,
		config:               h.c.config,
	}
}

// helloRead has the ClientHello, which tells which handshake follows.
type helloRead struct{ *serverHandshake }

// lookUp returns the session to resume, or nil for a full handshake.
func (h *helloRead) lookUp() (*Session, error) {
	if h.c.sessions == nil || len(h.msg.sessionID) == 0 {
		return nil, nil
	}
	s := h.c.sessions.Lookup(h.ctx, h.view, h.msg.sessionID)
	if s == nil {
		return nil, nil
	}
	switch err := h.view.MayResume(s); {
	case errors.Is(err, ErrExtendedMasterDropped):
		return nil, &failure{alertHandshakeFailure, err}
	case err != nil:
		return nil, nil
	}
	return s, nil
}

// newServerHello returns a ServerHello with what full and abbreviated handshakes
// share.
func (h *helloRead) newServerHello(s *suite, id []byte) (*serverHelloMsg, error) {
	random, err := newRandom(h.c.config)
	if err != nil {
		return nil, err
	}
	if allowsTLS13(h.c.config) {
		copy(random[randomLen-len(sentinelTLS12):], sentinelTLS12)
	}
	hello := &serverHelloMsg{version: versionTLS12, random: random, sessionID: id, suite: s.id, compression: compressionNone}
	if h.offer.renegotiation || slices.Contains(h.msg.suites, renegotiationSCSV) {
		hello.extensions.add(extRenegotiationInfo, func(b *cryptobyte.Builder) { b.AddUint8(0) })
	}
	if h.offer.extendedMaster {
		h.c.agreed.extendedMaster = true
		hello.extensions.add(extExtendedMasterSecret, nil)
	}
	if protocol := h.c.agreed.protocol; protocol != "" {
		hello.extensions.add(extALPN, addProtocols([]string{protocol}))
	}
	return hello, nil
}

func addProtocols(protocols []string) cryptobyte.BuilderContinuation {
	return func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, protocol := range protocols {
				b.AddUint8LengthPrefixed(addBytes([]byte(protocol)))
			}
		})
	}
}
