package tls12

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/rsa"
	"crypto/tls"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// sendFlight sends the server's flight, from ServerHello to ServerHelloDone.
func (h *helloRead) sendFlight() (*flightSent, error) {
	next := &flightSent{serverHandshake: h.serverHandshake}
	certificate, err := h.c.serverCertificate(h.ctx, h.raw)
	if err != nil {
		return nil, err
	}
	if err := h.choose(certificate); err != nil {
		return nil, err
	}
	if next.id = h.newID(); len(next.id) > 0 {
		h.c.agreed.serverNotAfter = notAfterOf(certificate)
	}
	if next.serverRandom, err = h.sendServerHello(certificate, next.id); err != nil {
		return nil, err
	}
	if err := h.sendCertificate(certificate); err != nil {
		return nil, err
	}
	if next.key, err = h.sendKeyExchange(certificate, next.serverRandom); err != nil {
		return nil, err
	}
	if err := h.sendCertificateRequest(); err != nil {
		return nil, err
	}
	if err := h.transcript.write(h.c, &serverHelloDoneMsg{}); err != nil {
		return nil, err
	}
	return next, h.c.flush()
}

// choose chooses the group and the suite.
func (h *helloRead) choose(certificate *tls.Certificate) error {
	config := h.c.config
	if len(h.offer.points) > 0 && !bytes.Contains(h.offer.points, []byte{pointUncompressed}) {
		return fail(alertIllegalParameter, "the client does not accept uncompressed points (RFC 8422, section 5.1)")
	}
	h.c.agreed.curve = chooseGroup(config, h.offer.groups)
	if h.c.agreed.curve == 0 {
		return fail(alertHandshakeFailure, "no group in common; the client offers %v", h.offer.groups)
	}
	signer, ok := certificate.PrivateKey.(crypto.Signer)
	if !ok {
		return fail(alertInternalError, "the certificate's private key of type %T cannot sign", certificate.PrivateKey)
	}
	if !takesCurve(h.offer.groups, signer.Public()) {
		return fail(alertHandshakeFailure, "the client does not accept ECDSA keys on the certificate's curve (RFC 8422, section 5.3); it offers %v", h.offer.groups)
	}
	_, isRSA := signer.Public().(*rsa.PublicKey)
	s := chooseSuite(config, h.msg.suites, isRSA)
	if s == nil {
		return fail(alertHandshakeFailure, "no cipher suite in common; the client offers %#04x", h.msg.suites)
	}
	h.enterSuite(s, config.ClientAuth >= tls.RequestClientCert)
	return nil
}

// newID returns an id for the new session, or nil for none. It never returns the id
// that the client proposed, from which the client would conclude that its session
// resumes.
func (h *helloRead) newID() []byte {
	if h.c.sessions == nil || !h.offer.extendedMaster {
		return nil
	}
	id := h.c.sessions.NewID(h.ctx, h.view)
	if len(id) > maxSessionIDLen || bytes.Equal(id, h.msg.sessionID) {
		return nil
	}
	return slices.Clone(id)
}

func (h *helloRead) sendServerHello(certificate *tls.Certificate, id []byte) (random []byte, err error) {
	hello, err := h.newServerHello(h.suite, id)
	if err != nil {
		return nil, err
	}
	if h.staples(certificate) {
		hello.extensions.add(extStatusRequest, nil)
	}
	if list := certificate.SignedCertificateTimestamps; h.offer.timestamps && len(list) > 0 {
		hello.extensions.add(extSCT, addTimestamps(list))
	}
	if len(h.offer.points) > 0 {
		hello.extensions.add(extPointFormats, func(b *cryptobyte.Builder) {
			b.AddUint8LengthPrefixed(addBytes([]byte{pointUncompressed}))
		})
	}
	if h.offer.serverName != "" {
		hello.extensions.add(extServerName, nil)
	}
	return hello.random, h.transcript.write(h.c, hello)
}

func addTimestamps(list [][]byte) cryptobyte.BuilderContinuation {
	return func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, one := range list {
				b.AddUint16LengthPrefixed(addBytes(one))
			}
		})
	}
}

func (h *helloRead) staples(certificate *tls.Certificate) bool {
	return h.offer.status && len(certificate.OCSPStaple) > 0
}

func (h *helloRead) sendCertificate(certificate *tls.Certificate) error {
	if err := h.transcript.write(h.c, &certificateMsg{certificate.Certificate}); err != nil {
		return err
	}
	if !h.staples(certificate) {
		return nil
	}
	return h.transcript.write(h.c, &certificateStatusMsg{certificate.OCSPStaple})
}

func (h *helloRead) sendKeyExchange(certificate *tls.Certificate, serverRandom []byte) (*ecdh.PrivateKey, error) {
	curve := h.c.agreed.curve
	key, err := curves[curve].GenerateKey(randOf(h.c.config))
	if err != nil {
		return nil, fail(alertInternalError, "the key exchange failed: %w", err)
	}
	exchange := &serverKeyExchangeMsg{group: uint16(curve), public: key.PublicKey().Bytes()}
	signed := exchange.signed(h.msg.random, serverRandom)
	exchange.scheme, exchange.signature, err = sign(h.c.config, certificate, h.offer.schemes, signed)
	if err != nil {
		return nil, err
	}
	return key, h.transcript.write(h.c, exchange)
}

func (h *helloRead) sendCertificateRequest() error {
	config := h.c.config
	if config.ClientAuth < tls.RequestClientCert {
		return nil
	}
	request := &certificateRequestMsg{types: []byte{certTypeRSASign, certTypeECDSASign}}
	for _, scheme := range allSchemes {
		request.schemes = append(request.schemes, uint16(scheme))
	}
	if config.ClientCAs != nil {
		request.authorities = config.ClientCAs.Subjects() //lint:ignore SA1019 crypto/tls sends these too
	}
	return h.transcript.write(h.c, request)
}
