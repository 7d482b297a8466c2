package main

import (
	"crypto/tls"
	"errors"
	"fmt"
)

// check compares the handshake with what the test expects, once.
func (c *connection) check() error {
	if c.checked {
		return nil
	}
	c.checked = true
	if err := c.compare(); err != nil {
		return fault{fmt.Errorf("unexpected: %w", err)}
	}
	return nil
}

func (c *connection) compare() error {
	state := c.ConnectionState()
	if !state.HandshakeComplete {
		return fmt.Errorf("the handshake is not complete: %w", c.Handshake())
	}
	for _, check := range []func(*tls.ConnectionState) error{
		c.checkResumption, c.checkAgreed, c.checkPeer, c.checkWire,
	} {
		if err := check(&state); err != nil {
			return err
		}
	}
	return c.side.checkAuthorities()
}

func (c *connection) checkResumption(state *tls.ConnectionState) error {
	want := &c.o.want
	hasSession := c.Session() != nil
	switch {
	case state.DidResume != (c.resumes && !want.sessionMiss):
		return fmt.Errorf("resumed is %v", state.DidResume)
	case want.noSession && hasSession, want.noSessionID && hasSession:
		return errors.New("there is a session")
	case want.sessionID && !hasSession:
		return errors.New("there is no session")
	}
	return nil
}

func (c *connection) checkAgreed(state *tls.ConnectionState) error {
	want := &c.o.want
	protocol := want.alpn
	if c.o.server {
		protocol = c.o.selectALPN
	}
	switch {
	case want.serverName != "" && state.ServerName != want.serverName:
		return fmt.Errorf("the server name is %q", state.ServerName)
	case state.NegotiatedProtocol != protocol:
		return fmt.Errorf("the protocol is %q", state.NegotiatedProtocol)
	case want.curve != 0 && int(state.CurveID) != want.curve:
		return fmt.Errorf("the group is %v", state.CurveID)
	case want.cipher != 0 && int(state.CipherSuite) != want.cipher:
		return fmt.Errorf("the suite is %#04x", state.CipherSuite)
	case want.cipherAES != 0 && int(state.CipherSuite) != want.cipherAES && int(state.CipherSuite) != want.cipherNoAES:
		return fmt.Errorf("the suite is %#04x", state.CipherSuite)
	case want.selected != nil && c.side.selected != *want.selected:
		return fmt.Errorf("the credential is %d", c.side.selected)
	}
	if _, err := c.ExportKeyingMaterial("EXPORTER-bogo", nil, 1); want.extendedMaster && err != nil {
		return err // the export is refused without the extended master secret
	}
	return nil
}

func (c *connection) checkPeer(state *tls.ConnectionState) error {
	want := &c.o.want
	certificates := len(state.PeerCertificates)
	switch {
	case want.noPeerCertificate && certificates > 0:
		return errors.New("the peer has a certificate")
	case !want.noPeerCertificate && certificates == 0 && (!c.o.server || c.o.requireCert):
		return errors.New("the peer has no certificate")
	case want.ocsp != "" && string(state.OCSPResponse) != want.ocsp:
		return fmt.Errorf("the staple is %q", state.OCSPResponse)
	case want.timestamps != "" && string(joinTimestamps(state.SignedCertificateTimestamps)) != want.timestamps:
		return fmt.Errorf("the timestamps are %q", state.SignedCertificateTimestamps)
	case want.peerCertificate != "":
		return sameChain(state.PeerCertificates, want.peerCertificate)
	}
	return nil
}

func (c *connection) checkWire(state *tls.ConnectionState) error {
	want := &c.o.want
	if got := int(peerScheme(c.tap.seen)); want.scheme != 0 && !state.DidResume && got != want.scheme {
		return fmt.Errorf("the peer's signature scheme is %#04x", got)
	}
	if got := certificateTypes(c.tap.seen); want.certificateTypes != "" && got != want.certificateTypes {
		return fmt.Errorf("the server asks for the types of certificate %x", got)
	}
	if want.secureRenegotiation && !answersRenegotiationInfo(c.tap.seen) {
		return errors.New("the server does not signal secure renegotiation")
	}
	return nil
}
