package tls12

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testca"
)

// refused runs a handshake that the server must refuse.
func refused(t *testing.T, client, server *tls.Config, alert tls.AlertError) error {
	t.Helper()
	clientConn, serverConn := tcpPair(t)
	clientErr, serverErr := handshakes(newClient(t, clientConn, client, nil), newServer(t, serverConn, server, &mapSessions{}))
	wantAlert(t, serverErr, "local error", alert)
	wantAlert(t, clientErr, "remote error", alert)
	return serverErr
}

func TestClientCertificateRefused(t *testing.T) {
	ca, other := testca.Root("ca", testca.ECDSA), testca.Root("other", testca.ECDSA)
	server := serverConfig(t)
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool()
	present := func(one tls.Certificate) *tls.Config {
		client := clientConfig(t)
		client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &one, nil }
		return client
	}
	tomorrow := time.Now().Add(24 * time.Hour)
	var verification *tls.CertificateVerificationError
	if err := refused(t, present(other.Client("client", tomorrow)), server, alertUnknownCA); !errors.As(err, &verification) {
		t.Errorf("the error is %v", err)
	}
	refused(t, present(ca.Client("client", time.Now().Add(-time.Minute))), server, alertCertificateExpired)
	refused(t, present(ca.Server()), server, alertBadCertificate) // the wrong extended key usage
	refused(t, present(tls.Certificate{}), server, alertHandshakeFailure)
	refused(t, present(tls.Certificate{Certificate: [][]byte{{1}}, PrivateKey: ca.Server().PrivateKey}), server, alertDecodeError)

	good := ca.Intermediate("intermediate").Client("client", tomorrow)
	_, s := connect(t, present(good), server, &mapSessions{}, nil)
	if chains := s.ConnectionState().VerifiedChains; len(chains) != 1 || len(chains[0]) != 3 {
		t.Errorf("the chains are %v", chains)
	}
	server.Time = func() time.Time { return tomorrow.Add(time.Minute) }
	client := present(good)
	client.InsecureSkipVerify = true
	refused(t, client, server, alertCertificateExpired)

	server.Time = nil
	server.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return io.ErrNoProgress }
	if err := refused(t, present(good), server, alertBadCertificate); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("the error is %v", err)
	}
	server.VerifyPeerCertificate, server.ClientAuth = nil, tls.RequestClientCert
	_, s = connect(t, present(other.Client("client", tomorrow)), server, &mapSessions{}, nil)
	if state := s.ConnectionState(); len(state.PeerCertificates) != 1 || state.VerifiedChains != nil {
		t.Error("RequestClientCert verifies, or does not keep the certificate")
	}
}

// TestOthersCertificate presents a certificate without having its key. Only the
// signature is wrong.
func TestOthersCertificate(t *testing.T) {
	for _, kind := range []string{"ecdsa-p256", "rsa-2048", "ed25519"} {
		stolen := certificateOf(t, kind).certificate
		stolen.PrivateKey = certificateOf(t, kind+"/thief").certificate.PrivateKey
		server, client := serverConfig(t), clientConfig(t)
		server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, certificateOf(t, kind).pool
		client.Certificates = []tls.Certificate{stolen}
		refused(t, client, server, alertDecryptError)

		server, client = serverConfig(t), clientConfig(t)
		server.Certificates, client.RootCAs = []tls.Certificate{stolen}, certificateOf(t, kind).pool
		clientConn, serverConn := tcpPair(t)
		clientErr, _ := handshakes(newClient(t, clientConn, client, nil), newServer(t, serverConn, server, nil))
		wantAlert(t, clientErr, "local error", alertDecryptError)
	}
}

func TestServerCertificateChoice(t *testing.T) {
	server := serverConfig(t)
	server.Certificates = nil
	refused(t, clientConfig(t), server, alertUnrecognizedName)
	server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, io.ErrNoProgress }
	if err := refused(t, clientConfig(t), server, alertInternalError); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("the error is %v", err)
	}
	server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return new(tls.Certificate), nil }
	refused(t, clientConfig(t), server, alertInternalError)
	keyOnly := &tls.Certificate{PrivateKey: certificateOf(t, "ecdsa-p256").certificate.PrivateKey}
	server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return keyOnly, nil }
	clientConn, serverConn := tcpPair(t)
	clientErr, _ := handshakes(newClient(t, clientConn, clientConfig(t), nil), newServer(t, serverConn, server, &mapSessions{}))
	wantAlert(t, clientErr, "local error", alertDecodeError)

	server.GetCertificate = nil
	server.Certificates = []tls.Certificate{certificateOf(t, "ecdsa-p256").certificate, certificateOf(t, "ecdsa-p256/2").certificate}
	//lint:ignore SA1019 crypto/tls still honours it
	server.NameToCertificate = map[string]*tls.Certificate{"*.test": &server.Certificates[1], "exact.test": &server.Certificates[1]}
	for name, want := range map[string]string{"a.test": "ecdsa-p256/2", "EXACT.test": "ecdsa-p256/2", "localhost": "ecdsa-p256"} {
		client := clientConfig(t)
		client.ServerName, client.InsecureSkipVerify = name, true
		c, _ := connect(t, client, server, nil, nil)
		if got := c.ConnectionState().PeerCertificates[0].Subject.CommonName; got != want {
			t.Errorf("for %s the server has %s, want %s", name, got, want)
		}
	}
}

// TestServerKeyExchangeRefused sends wrong key shares and signatures.
func TestServerKeyExchangeRefused(t *testing.T) {
	off := func(m *serverKeyExchangeMsg) { m.public[len(m.public)-1] ^= 1 }
	for name, test := range map[string]struct {
		group tls.CurveID
		edit  func(*serverKeyExchangeMsg)
		alert tls.AlertError
	}{
		"a changed share":           {tls.X25519, off, alertDecryptError},
		"a changed signature":       {tls.X25519, func(m *serverKeyExchangeMsg) { m.signature[8] ^= 1 }, alertDecryptError},
		"no signature":              {tls.X25519, func(m *serverKeyExchangeMsg) { m.signature = nil }, alertDecryptError},
		"a scheme for another key":  {tls.X25519, func(m *serverKeyExchangeMsg) { m.scheme = uint16(tls.PSSWithSHA256) }, alertIllegalParameter},
		"a scheme with SHA-1":       {tls.X25519, func(m *serverKeyExchangeMsg) { m.scheme = uint16(tls.ECDSAWithSHA1) }, alertIllegalParameter},
		"a group not offered":       {tls.X25519, func(m *serverKeyExchangeMsg) { m.group = uint16(tls.X25519MLKEM768) }, alertIllegalParameter},
		"a group of another length": {tls.X25519, func(m *serverKeyExchangeMsg) { m.group = uint16(tls.CurveP256) }, alertDecryptError},
	} {
		t.Run(name, func(t *testing.T) {
			change := func(records [][]byte) [][]byte {
				var m serverKeyExchangeMsg
				if !parseMessage(&m, records[2][recordHeaderLen:]) {
					t.Error("the third record is no ServerKeyExchange")
				}
				test.edit(&m)
				records[2] = handshakeRecord(&m)
				return records
			}
			testClientOrder(t, mutation{0, change, test.alert}, serverConfig(t), clientConfig(t), nil)
		})
	}
}

// TestClientKeyExchangeRefused sends key shares that are not good points.
func TestClientKeyExchangeRefused(t *testing.T) {
	for name, test := range map[string]struct {
		group  tls.CurveID
		public []byte
	}{
		"X25519, zero":              {tls.X25519, make([]byte, 32)},
		"X25519, short":             {tls.X25519, make([]byte, 31)},
		"P-256, not on the curve":   {tls.CurveP256, append([]byte{4}, make([]byte, 64)...)},
		"P-256, the point infinite": {tls.CurveP256, []byte{0}},
		"P-256, compressed":         {tls.CurveP256, append([]byte{2}, make([]byte, 32)...)},
		"P-384, of P-256's length":  {tls.CurveP384, append([]byte{4}, make([]byte, 64)...)},
		"P-521, not on the curve":   {tls.CurveP521, append([]byte{4}, make([]byte, 132)...)},
	} {
		t.Run(name, func(t *testing.T) {
			server := serverConfig(t)
			server.CurvePreferences = []tls.CurveID{test.group}
			m := mutation{1, instead(0, handshakeRecord(&clientKeyExchangeMsg{test.public})), alertIllegalParameter}
			testServerOrder(t, m, server, clientConfig(t), nil)
		})
	}
}

// TestProposal checks that a client proposes only sessions that it would accept
// again.
func TestProposal(t *testing.T) {
	sessions := &mapSessions{}
	made := establish(t, clientConfig(t), serverConfig(t), sessions)
	for name, test := range map[string]struct {
		config  func(*tls.Config)
		session func(*Session)
		want    bool
	}{
		"as it is":                  {nil, nil, true},
		"another name of the same":  {func(c *tls.Config) { c.ServerName = "other.test" }, nil, true},
		"a name it is not for":      {func(c *tls.Config) { c.ServerName = "wrong.test" }, nil, false},
		"roots that do not have it": {func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }, nil, false},
		"after it has expired":      {func(c *tls.Config) { c.Time = func() time.Time { return time.Now().Add(48 * time.Hour) } }, nil, false},
		"another suite":             {func(c *tls.Config) { c.CipherSuites = []uint16{ecdsaAES256.id} }, nil, false},
		"no certificate":            {nil, func(s *Session) { s.PeerCertificates = nil }, false},
		"no extended master secret": {nil, func(s *Session) { s.ExtendedMasterSecret = false }, false},
		"no secret":                 {nil, func(s *Session) { s.MasterSecret = nil }, false},
		"no id":                     {nil, func(s *Session) { s.ID = nil }, false},
		"a long id":                 {nil, func(s *Session) { s.ID = make([]byte, 33) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			config, session := clientConfig(t), *made
			if test.config != nil {
				test.config(config)
			}
			if test.session != nil {
				test.session(&session)
			}
			clientConn, serverConn := tcpPair(t)
			before := sessions.counts()[0]
			handshakes(newClient(t, clientConn, config, &session), newServer(t, serverConn, serverConfig(t), sessions))
			if got := sessions.counts()[0] > before; got != test.want {
				t.Errorf("it was proposed: %v, want %v", got, test.want)
			}
		})
	}
}

func TestHostName(t *testing.T) {
	for name, want := range map[string]string{
		"localhost": "localhost", "a.test.": "a.test", "127.0.0.1": "", "::1": "", "[::1]": "", "fe80::1%eth0": "", "": "",
	} {
		if got := hostName(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestExporterRefuses(t *testing.T) {
	c, _ := connect(t, clientConfig(t), serverConfig(t), nil, nil)
	for _, label := range []string{"master secret", "extended master secret", "key expansion", "client finished", "server finished"} {
		if _, err := c.ExportKeyingMaterial(label, nil, 32); err == nil {
			t.Errorf("%q is not reserved", label)
		}
	}
	if _, err := c.ExportKeyingMaterial("label", make([]byte, 1<<16), 32); err == nil {
		t.Error("a context of 64 KiB is accepted")
	}
	if _, err := c.ExportKeyingMaterial("label", nil, 0); err == nil {
		t.Error("no bytes can be exported")
	}
}

// TestClientHelloInfo checks that GetCertificate sees the client as this engine does:
// in TLS 1.2, where an ECDSA key's curve must be one of the client's groups.
func TestClientHelloInfo(t *testing.T) {
	server, client := serverConfig(t), clientConfig(t)
	server.MaxVersion, client.MaxVersion = 0, 0
	client.CurvePreferences = []tls.CurveID{tls.X25519}
	one := server.Certificates[0]
	server.Certificates = nil
	called := false
	clientConn, serverConn := tcpPair(t)
	server.GetCertificate = func(info *tls.ClientHelloInfo) (*tls.Certificate, error) {
		called = true
		if info.SupportsCertificate(&one) == nil {
			t.Error("the certificate is said to be supported, as it were in TLS 1.3")
		}
		if info.ServerName != "localhost" || info.Conn != serverConn || info.Context().Err() != nil {
			t.Errorf("the ClientHelloInfo is %+v", info)
		}
		return &one, nil
	}
	handshakes(tls.Client(clientConn, client), newServer(t, serverConn, server, nil)) // the client sees the downgrade
	if !called {
		t.Error("GetCertificate was not called")
	}
}

// TestSuitePreference checks that a client which puts ChaCha20 first gets it, and one
// that puts AES first gets that if this side has hardware for it.
func TestSuitePreference(t *testing.T) {
	aes := ecdsaAES128
	if !fastAES() {
		aes = ecdsaChaCha20
	}
	const grease, cbc = 0x0a0a, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA
	for _, test := range []struct {
		offered []uint16
		want    *suite
	}{
		{[]uint16{ecdsaChaCha20.id, ecdsaAES128.id}, ecdsaChaCha20},
		{[]uint16{ecdsaAES128.id, ecdsaChaCha20.id}, aes},
		{[]uint16{ecdsaAES256.id, ecdsaChaCha20.id, ecdsaAES128.id}, aes},
		{[]uint16{grease, tls.TLS_AES_256_GCM_SHA384, ecdsaChaCha20.id, ecdsaAES128.id}, aes},
		{[]uint16{tls.TLS_CHACHA20_POLY1305_SHA256, ecdsaAES128.id, ecdsaChaCha20.id}, ecdsaChaCha20},
		{[]uint16{cbc, ecdsaAES128.id, ecdsaChaCha20.id}, ecdsaChaCha20},
		{[]uint16{rsaAES128.id, ecdsaAES256.id}, ecdsaAES256},
		{[]uint16{rsaAES128.id}, nil},
	} {
		if got := chooseSuite(&tls.Config{}, test.offered, false); got != test.want {
			t.Errorf("of %#04x it chooses %v, want %v", test.offered, got, test.want)
		}
	}
}
