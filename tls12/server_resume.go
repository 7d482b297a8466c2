package tls12

// sendResumption sends the server's flight of an abbreviated handshake, up to and
// including Finished.
func (h *helloRead) sendResumption(s *Session) (*resumptionSent, error) {
	h.enterSuite(suiteByID(s.CipherSuite), false)
	hello, err := h.newServerHello(h.suite, h.msg.sessionID)
	if err != nil {
		return nil, err
	}
	h.restore(s)
	if err := h.c.verifyConnection(); err != nil {
		return nil, err
	}
	if err := h.transcript.write(h.c, hello); err != nil {
		return nil, err
	}
	client, server, err := h.c.establish(h.suite, s.MasterSecret, h.msg.random, hello.random)
	if err != nil {
		return nil, err
	}
	finished := h.c.secrets.verifyData(labelServerFinished, h.transcript.sum())
	h.c.agreed.unique = finished
	if err := h.c.sendFinished(&h.transcript, server, finished); err != nil {
		return nil, err
	}
	return &resumptionSent{h.serverHandshake, s, client}, nil
}

// restore restores what the session's full handshake agreed on.
func (h *helloRead) restore(s *Session) {
	agreed := &h.c.agreed
	agreed.resumed = true
	agreed.curve = s.CurveID
	agreed.certificates, agreed.chains = s.PeerCertificates, s.VerifiedChains
	agreed.staple, agreed.timestamps = s.OCSPResponse, s.SignedCertificateTimestamps
}

// resumptionSent waits for the client's Finished, which proves that it has the
// session's secret.
type resumptionSent struct {
	*serverHandshake
	session *Session
	client  *protection
}

func (h *resumptionSent) readFinished() error {
	want := h.c.secrets.verifyData(labelClientFinished, h.transcript.sum())
	if err := h.c.readFinished(&h.transcript, h.client, want); err != nil {
		return err
	}
	h.c.session.Store(h.session)
	h.c.sessions.Resumed(h.ctx, h.view, h.session)
	return nil
}
