package main

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// A side is the configuration of one connection, and what its callbacks saw.
type side struct {
	o        *options
	config   *tls.Config
	selected int // index of the credential that signed; -1 if none of them did
	asked    *tls.CertificateRequestInfo
}

var (
	errVerify   = errors.New("the shim's verification fails")
	errCallback = errors.New("the shim's callback fails")
	errOCSP     = errors.New("the shim's check of the staple fails")
)

func newSide(o *options) (*side, error) {
	s := &side{o: o, selected: -1}
	protocols, err := splitProtocols(o.alpn)
	if err != nil {
		return nil, err
	}
	ciphers, ok := suites[o.ciphers]
	if !ok {
		return nil, fmt.Errorf("the shim does not know the suites %q", o.ciphers)
	}
	s.config = &tls.Config{
		ServerName:         o.hostName,
		InsecureSkipVerify: true, // but see setTrust
		NextProtos:         protocols,
		MaxVersion:         s.maxVersion(),
		MinVersion:         uint16(o.minVersion),
		CipherSuites:       ciphers,
		ClientAuth:         s.clientAuth(),
	}
	for _, id := range o.curves {
		s.config.CurvePreferences = append(s.config.CurvePreferences, tls.CurveID(id))
	}
	if err := s.setTrust(); err != nil {
		return nil, err
	}
	s.setVerification()
	return s, s.setCertificates()
}

// setTrust turns on verification of the peer's chain if the test verifies it and expects
// success.
func (s *side) setTrust() (err error) {
	if s.o.clientCAs != "" {
		s.config.ClientCAs, err = authorities(s.o.clientCAs)
		return err
	}
	if !s.o.verifyPeer || s.o.verifyFail {
		return nil
	}
	if s.o.server {
		s.config.ClientCAs, err = readPool(s.o.trustCert)
		if s.config.ClientAuth == tls.RequestClientCert {
			s.config.ClientAuth = tls.VerifyClientCertIfGiven
		} else {
			s.config.ClientAuth = tls.RequireAndVerifyClientCert
		}
		return err
	}
	s.config.RootCAs, err = readPool(s.o.trustCert)
	s.config.InsecureSkipVerify = false
	s.config.ServerName = cmp.Or(s.o.hostName, "test") // the name in the runner's certificates
	return err
}

// maxVersion returns zero if TLS 1.3 is allowed.
func (s *side) maxVersion() uint16 {
	switch {
	case s.o.noTLS12: // all other versions are off too, or the test is declined
		return tls.VersionTLS10 - 1
	case s.o.noTLS13:
		return tls.VersionTLS12
	}
	return uint16(s.o.maxVersion)
}

// suites are the values of -cipher that the shim supports.
var suites = map[string][]uint16{
	"":             nil, // all suites of the engine
	"DEFAULT:!AES": {tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
}

func (s *side) clientAuth() tls.ClientAuthType {
	switch {
	case s.o.requireCert:
		return tls.RequireAnyClientCert
	case s.o.verifyPeer:
		return tls.RequestClientCert
	}
	return tls.NoClientCert
}

// setVerification accepts or rejects the peer's certificates, as the test says. If the test
// asks for it, the certificates of a session are verified again.
func (s *side) setVerification() {
	if s.o.verifyFail && s.o.verifyPeer {
		s.config.VerifyPeerCertificate = func(chain [][]byte, _ [][]*x509.Certificate) error {
			if len(chain) == 0 {
				return nil
			}
			return errVerify
		}
	}
	s.config.VerifyConnection = func(state tls.ConnectionState) error {
		switch {
		case s.o.verifyFail && s.o.verifyPeer && s.o.reverifyOnResume && state.DidResume:
			return errVerify
		case s.o.failOCSP && s.o.useOCSPCallback && !s.o.server && !state.DidResume:
			return errOCSP
		}
		return nil
	}
}

// setCertificates configures the credentials. If there is only one, a callback chooses it.
func (s *side) setCertificates() error {
	var all []tls.Certificate
	for i := range s.o.credentials {
		certificate, err := s.o.credentials[i].load(func() { s.selected = i })
		if err != nil {
			return err
		}
		all = append(all, *certificate)
	}
	fallback, err := s.o.fallback.load(func() { s.selected = -1 })
	if err != nil {
		return err
	}
	if fallback != nil && s.o.useOCSPCallback && s.o.server && !s.o.setOCSP {
		fallback.OCSPStaple = nil
	}
	if len(all) > 0 {
		if fallback != nil {
			all = append(all, *fallback)
		}
		s.config.Certificates = all
		return nil
	}
	s.config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if s.o.failCertCallback || s.o.failOCSP {
			return nil, errCallback
		}
		return fallback, nil
	}
	s.config.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		s.asked = info
		if s.o.failCertCallback {
			return nil, errCallback
		}
		return fallback, nil
	}
	return nil
}

// admit prepares a server for the client that sent the hello. The listener gives the engine a
// client that supports TLS 1.3 only if the configuration does not. So admit turns off TLS
// 1.3 for such a client.
func (s *side) admit(hello *tls.ClientHelloInfo) error {
	if hello == nil {
		return nil
	}
	for _, version := range hello.SupportedVersions {
		if version >= tls.VersionTLS13 {
			s.config.MaxVersion = tls.VersionTLS12
		}
	}
	switch {
	case s.o.selectALPN != "":
		s.config.NextProtos = []string{s.o.selectALPN}
	case s.o.rejectALPN:
		s.config.NextProtos = []string{"none of the client's"}
	case s.o.declineALPN:
		s.config.NextProtos = nil
	}
	want, err := splitProtocols(s.o.want.advertisedALPN)
	if err == nil && len(want) > 0 && fmt.Sprint(want) != fmt.Sprint(hello.SupportedProtos) {
		err = fmt.Errorf("the client advertises %q, want %q", hello.SupportedProtos, want)
	}
	return err
}

// splitProtocols splits a list in the encoding of RFC 7301, section 3.1.
func splitProtocols(list string) (all []string, err error) {
	for len(list) > 0 {
		n := int(list[0])
		if len(list) < 1+n {
			return nil, fmt.Errorf("the list of protocols %q is malformed", list)
		}
		all = append(all, list[1:1+n])
		list = list[1+n:]
	}
	return all, nil
}

// checkAuthorities checks the authorities that the server named.
func (s *side) checkAuthorities() error {
	want := s.o.want.clientCAs
	if want == "" {
		return nil
	}
	if s.asked == nil {
		return errors.New("the server asked for no certificate")
	}
	var got []string
	for _, name := range s.asked.AcceptableCAs {
		got = append(got, fmt.Sprintf("%x", name))
	}
	if want == "<EMPTY>" {
		want = ""
	}
	if joined := strings.Join(got, ","); joined != want {
		return fmt.Errorf("the server asked for the authorities %q, want %q", joined, want)
	}
	return nil
}

// sameChain reports whether the peer's chain is the one in a file.
func sameChain(certificates []*x509.Certificate, path string) error {
	want, err := readPEM(path, "CERTIFICATE")
	if err != nil {
		return err
	}
	if len(want) != len(certificates) {
		return fmt.Errorf("the peer sent %d certificates, want %d", len(certificates), len(want))
	}
	for i, der := range want {
		if !bytes.Equal(der, certificates[i].Raw) {
			return fmt.Errorf("the peer's certificate %d is another one", i)
		}
	}
	return nil
}
