package tls12

import (
	"crypto/ecdh"
	"crypto/tls"
)

// flightSent waits for the client's flight.
type flightSent struct {
	*serverHandshake
	id           []byte // of the new session; nil for none
	serverRandom []byte
	key          *ecdh.PrivateKey
}

// readCertificate reads and verifies the client's certificate, if one was requested.
func (h *flightSent) readCertificate() (*clientKnown, error) {
	if h.c.config.ClientAuth >= tls.RequestClientCert {
		var m certificateMsg
		if err := h.transcript.read(h.c, &m); err != nil {
			return nil, err
		}
		if err := h.c.acceptClient(m.chain); err != nil {
			return nil, err
		}
	}
	if err := h.c.verifyConnection(); err != nil {
		return nil, err
	}
	return &clientKnown{h}, nil
}

// clientKnown has verified the client's certificate, if any.
type clientKnown struct{ *flightSent }

func (h *clientKnown) readKeyExchange() (*keysExchanged, error) {
	var m clientKeyExchangeMsg
	if err := h.transcript.read(h.c, &m); err != nil {
		return nil, err
	}
	preMaster, err := agree(h.key, m.public)
	if err != nil {
		return nil, err
	}
	master := h.master(preMaster)
	client, server, err := h.c.establish(h.suite, master, h.msg.random, h.serverRandom)
	if err != nil {
		return nil, err
	}
	return &keysExchanged{h.flightSent, client, server}, nil
}

// agree computes the shared secret.
func agree(key *ecdh.PrivateKey, public []byte) ([]byte, error) {
	peer, err := key.Curve().NewPublicKey(public)
	if err != nil {
		return nil, fail(alertIllegalParameter, "parsing the peer's key share: %w", err)
	}
	secret, err := key.ECDH(peer)
	if err != nil {
		return nil, fail(alertIllegalParameter, "the key exchange failed: %w", err)
	}
	return secret, nil
}

func (h *clientKnown) master(preMaster []byte) []byte {
	if h.c.agreed.extendedMaster {
		return extendedMasterSecret(h.suite.hash, preMaster, h.transcript.sum())
	}
	return masterSecret(h.suite.hash, preMaster, h.msg.random, h.serverRandom)
}

// keysExchanged has the new keys, which nobody has used yet.
type keysExchanged struct {
	*flightSent
	client, server *protection
}

// readCertificateVerify verifies that a client which sent a certificate has its key.
func (h *keysExchanged) readCertificateVerify() (*clientVerified, error) {
	certificates := h.c.agreed.certificates
	if len(certificates) > 0 {
		signed := h.transcript.all
		var m certificateVerifyMsg
		if err := h.transcript.read(h.c, &m); err != nil {
			return nil, err
		}
		if err := verify(certificates[0].PublicKey, m.scheme, signed, m.signature); err != nil {
			return nil, err
		}
	}
	h.transcript.release()
	return &clientVerified{h}, nil
}

// clientVerified waits for the client's Finished.
type clientVerified struct{ *keysExchanged }

func (h *clientVerified) readFinished() (*clientDone, error) {
	want := h.c.secrets.verifyData(labelClientFinished, h.transcript.sum())
	h.c.agreed.unique = want
	if err := h.c.readFinished(&h.transcript, h.client, want); err != nil {
		return nil, err
	}
	return &clientDone{h.keysExchanged}, nil
}

// clientDone has verified the client's Finished.
type clientDone struct{ *keysExchanged }

func (h *clientDone) sendFinished() error {
	h.store()
	finished := h.c.secrets.verifyData(labelServerFinished, h.transcript.sum())
	return h.c.sendFinished(&h.transcript, h.server, finished)
}

// store passes the new session to the sessions.
func (h *clientDone) store() {
	if h.c.sessions == nil {
		return
	}
	var s *Session
	if len(h.id) > 0 {
		s = h.c.newSession(h.id, h.c.secrets.master)
		h.c.session.Store(s)
	}
	h.c.sessions.Completed(h.ctx, h.view, s)
}
