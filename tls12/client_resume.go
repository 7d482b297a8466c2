package tls12

// acceptResumption restores what the session's full handshake agreed on.
func (h *serverHelloRead) acceptResumption() (*resumptionAccepted, error) {
	s, agreed := h.offer, &h.c.agreed
	h.transcript.release()
	agreed.resumed = true
	agreed.curve = s.CurveID
	agreed.certificates = s.PeerCertificates
	if !h.c.config.InsecureSkipVerify {
		agreed.chains = todaysChains(h.c.config, s.PeerCertificates) // the session may come from a laxer configuration
	}
	agreed.staple = s.OCSPResponse
	agreed.timestamps = s.SignedCertificateTimestamps // the server must not send new ones (RFC 6962, section 3.3.1)
	client, server, err := h.c.establish(h.suite, s.MasterSecret, h.hello.random, h.reply.random)
	if err != nil {
		return nil, err
	}
	return &resumptionAccepted{h.clientHandshake, client, server}, nil
}

// resumptionAccepted waits for the server's Finished, which proves that it has
// the session's secret.
type resumptionAccepted struct {
	*clientHandshake
	client, server *protection
}

func (h *resumptionAccepted) readFinished() (*serverDone, error) {
	want := h.c.secrets.verifyData(labelServerFinished, h.transcript.sum())
	h.c.agreed.unique = want
	if err := h.c.readFinished(&h.transcript, h.server, want); err != nil {
		return nil, err
	}
	return &serverDone{h}, h.c.verifyConnection()
}

// serverDone has verified the server's Finished.
type serverDone struct{ *resumptionAccepted }

func (h *serverDone) sendFinished() error {
	finished := h.c.secrets.verifyData(labelClientFinished, h.transcript.sum())
	if err := h.c.sendFinished(&h.transcript, h.client, finished); err != nil {
		return err
	}
	h.c.session.Store(h.offer)
	return nil
}
