package tls12

import (
	"crypto/ecdh"
	"crypto/rsa"
	"crypto/tls"
	"slices"
)

// readCertificate reads and verifies the server's certificate and its staple.
func (h *serverHelloRead) readCertificate() (*serverKnown, error) {
	var m certificateMsg
	if err := h.transcript.read(h.c, &m); err != nil {
		return nil, err
	}
	if len(m.chain) == 0 {
		return nil, fail(alertDecodeError, "the server sent no certificate")
	}
	if err := h.readStaple(); err != nil {
		return nil, err
	}
	if err := h.c.acceptServer(m.chain); err != nil {
		return nil, err
	}
	if err := h.c.verifyConnection(); err != nil {
		return nil, err
	}
	return &serverKnown{h}, nil
}

// readStaple reads a CertificateStatus, which the server may omit even if it
// announced one (RFC 6066, section 8).
func (h *serverHelloRead) readStaple() error {
	if !h.answer.status {
		return nil
	}
	if kind, err := h.c.peekKind(); err != nil || kind != typeCertificateStatus {
		return err
	}
	var m certificateStatusMsg
	if err := h.transcript.read(h.c, &m); err != nil {
		return err
	}
	h.c.agreed.staple = m.response
	return nil
}

// serverKnown has verified the server's certificate.
type serverKnown struct{ *serverHelloRead }

// readKeyExchange reads the server's key share, and the signature that proves that
// the server has the certificate's key.
func (h *serverKnown) readKeyExchange() (*shareRead, error) {
	var m serverKeyExchangeMsg
	if err := h.transcript.read(h.c, &m); err != nil {
		return nil, err
	}
	group := tls.CurveID(m.group)
	if !slices.Contains(allowedGroups(h.c.config), group) {
		return nil, fail(alertIllegalParameter, "the server selects the group %v, which was not offered", group)
	}
	public := h.c.agreed.certificates[0].PublicKey
	if _, isRSA := public.(*rsa.PublicKey); isRSA != h.suite.rsa {
		return nil, fail(alertIllegalParameter, "the server's key of type %T is not for its cipher suite", public)
	}
	if err := verify(public, m.scheme, m.signed(h.hello.random, h.reply.random), m.signature); err != nil {
		return nil, err
	}
	h.c.agreed.curve = group
	return &shareRead{serverKnown: h, share: m.public}, nil
}

// shareRead has the server's key share.
type shareRead struct {
	*serverKnown
	share []byte
}

// readDone reads the CertificateRequest, if any, and the end of the flight.
func (h *shareRead) readDone() (*flightRead, error) {
	next := &flightRead{shareRead: h}
	kind, err := h.c.peekKind()
	if err != nil {
		return nil, err
	}
	if kind == typeCertificateRequest {
		next.request = new(certificateRequestMsg)
		if err := h.transcript.read(h.c, next.request); err != nil {
			return nil, err
		}
	}
	if err := h.transcript.read(h.c, &serverHelloDoneMsg{}); err != nil {
		return nil, err
	}
	return next, h.c.in.nothingLeft()
}

// flightRead has the server's whole flight.
type flightRead struct {
	*shareRead
	request *certificateRequestMsg // nil if the server sent none
}

// sendFlight sends the client's flight, up to and including Finished.
func (h *flightRead) sendFlight() (*clientFlightSent, error) {
	certificate, err := h.sendCertificate()
	if err != nil {
		return nil, err
	}
	master, err := h.sendKeyExchange()
	if err != nil {
		return nil, err
	}
	client, server, err := h.c.establish(h.suite, master, h.hello.random, h.reply.random)
	if err != nil {
		return nil, err
	}
	if err := h.sendVerify(certificate); err != nil {
		return nil, err
	}
	h.transcript.release()
	finished := h.c.secrets.verifyData(labelClientFinished, h.transcript.sum())
	h.c.agreed.unique = finished
	if err := h.c.sendFinished(&h.transcript, client, finished); err != nil {
		return nil, err
	}
	return &clientFlightSent{h, server}, nil
}

// sendCertificate answers a CertificateRequest, with an empty chain if the client
// has no certificate.
func (h *flightRead) sendCertificate() (*tls.Certificate, error) {
	if h.request == nil {
		return nil, nil
	}
	certificate, err := chooseClientCertificate(h.c.config, h.request)
	if err != nil {
		return nil, &failure{alertInternalError, err}
	}
	return certificate, h.transcript.write(h.c, &certificateMsg{certificate.Certificate})
}

func (h *flightRead) sendKeyExchange() (master []byte, err error) {
	key, err := h.newKey()
	if err != nil {
		return nil, err
	}
	preMaster, err := agree(key, h.share)
	if err != nil {
		return nil, err
	}
	if err := h.transcript.write(h.c, &clientKeyExchangeMsg{key.PublicKey().Bytes()}); err != nil {
		return nil, err
	}
	if h.answer.extendedMaster {
		return extendedMasterSecret(h.suite.hash, preMaster, h.transcript.sum()), nil
	}
	return masterSecret(h.suite.hash, preMaster, h.hello.random, h.reply.random), nil
}

func (h *flightRead) newKey() (*ecdh.PrivateKey, error) {
	key, err := curves[h.c.agreed.curve].GenerateKey(randOf(h.c.config))
	if err != nil {
		return nil, fail(alertInternalError, "the key exchange failed: %w", err)
	}
	return key, nil
}

// sendVerify proves that the client has its certificate's key.
func (h *flightRead) sendVerify(certificate *tls.Certificate) error {
	if certificate == nil || len(certificate.Certificate) == 0 {
		return nil
	}
	scheme, signature, err := sign(h.c.config, certificate, h.request.usableSchemes(), h.transcript.all)
	if err != nil {
		return err
	}
	return h.transcript.write(h.c, &certificateVerifyMsg{scheme, signature})
}

// clientFlightSent waits for the server's Finished.
type clientFlightSent struct {
	*flightRead
	server *protection
}

func (h *clientFlightSent) readFinished() error {
	want := h.c.secrets.verifyData(labelServerFinished, h.transcript.sum())
	if err := h.c.readFinished(&h.transcript, h.server, want); err != nil {
		return err
	}
	if id := h.reply.sessionID; len(id) > 0 && h.answer.extendedMaster {
		h.c.session.Store(h.c.newSession(slices.Clone(id), h.c.secrets.master))
	}
	return nil
}
