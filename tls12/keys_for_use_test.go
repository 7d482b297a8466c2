package tls12

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"slices"
	"testing"
	"time"
)

// The tests in this file check rules about the use of a certificate's key that BoringSSL's
// suite requires and crypto/tls does not enforce.

// withKeyUsage returns a self-signed certificate with an RSA key and a key usage; 0 leaves
// the extension out.
func withKeyUsage(t *testing.T, usage x509.KeyUsage) tls.Certificate {
	t.Helper()
	key, err := keyKinds["rsa-2048"]()
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     usage,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestKeyUsageAllowsSignatures checks RFC 5246, sections 7.4.2 and 7.4.6: if a certificate
// has a key usage, it must include signatures. Nothing else is verified here.
func TestKeyUsageAllowsSignatures(t *testing.T) {
	for usage, good := range map[x509.KeyUsage]bool{
		0:                                true,
		x509.KeyUsageDigitalSignature:    true,
		x509.KeyUsageKeyEncipherment:     false,
		x509.KeyUsageKeyAgreement:        false,
		x509.KeyUsageContentCommitment:   false,
		x509.KeyUsageKeyEncipherment | 1: true,
	} {
		one := withKeyUsage(t, usage)
		asServer, anyServer := serverConfig(t), clientConfig(t)
		asServer.Certificates = []tls.Certificate{one}
		anyServer.InsecureSkipVerify = true
		asClient, anyClient := clientConfig(t), serverConfig(t)
		asClient.Certificates = []tls.Certificate{one}
		anyClient.ClientAuth = tls.RequireAnyClientCert
		if good {
			connect(t, anyServer, asServer, nil, nil)
			connect(t, asClient, anyClient, nil, nil)
			continue
		}
		t.Logf("key usage %#x", usage)
		refusedByClient(t, anyServer, asServer, alertBadCertificate)
		refused(t, asClient, anyClient, alertBadCertificate)
	}
}

// refusedByClient is like refused, for a client.
func refusedByClient(t *testing.T, client, server *tls.Config, alert tls.AlertError) {
	t.Helper()
	clientConn, serverConn := tcpPair(t)
	clientErr, serverErr := handshakes(newClient(t, clientConn, client, nil), newServer(t, serverConn, server, nil))
	wantAlert(t, clientErr, "local error", alert)
	wantAlert(t, serverErr, "remote error", alert)
}

// TestCurveOfServersKey checks RFC 8422, section 5.3: a server's ECDSA key must be on a
// curve that the client offers. A server without such a key refuses the client, a client
// checks the key, and Suits leaves such a client to crypto/tls.
func TestCurveOfServersKey(t *testing.T) {
	offers := func(groups ...tls.CurveID) *tls.Config {
		client := clientConfig(t)
		client.CurvePreferences, client.InsecureSkipVerify = groups, true
		return client
	}
	server := serverConfig(t)
	server.Certificates = []tls.Certificate{certificateOf(t, "ecdsa-p384").certificate}
	refused(t, offers(tls.CurveP256, tls.X25519), server, alertHandshakeFailure)
	connect(t, offers(tls.X25519, tls.CurveP384), server, nil, nil)

	// Of several certificates, the server chooses the one that fits.
	server.Certificates = append(server.Certificates, certificateOf(t, "ecdsa-p256").certificate)
	connect(t, offers(tls.CurveP256, tls.X25519), server, nil, nil)

	// Other types of key are not restricted.
	for _, kind := range []string{"rsa-2048", "ed25519"} {
		server.Certificates = []tls.Certificate{certificateOf(t, kind).certificate}
		connect(t, offers(tls.X25519), server, nil, nil)
	}

	// This server ignores the offer.
	server = serverConfig(t)
	clientConn, serverConn := tcpPair(t)
	c := newClient(t, clientConn, offers(tls.X25519), nil)
	clientErr, _ := handshakes(c, tls.Server(serverConn, server))
	checkRefused(t, c, clientErr, alertIllegalParameter)
}

func TestSuitsCurveOfKey(t *testing.T) {
	hello := func(curves ...tls.CurveID) *tls.ClientHelloInfo {
		return &tls.ClientHelloInfo{
			CipherSuites:     allowedSuites(&tls.Config{}),
			SupportedCurves:  curves,
			SignatureSchemes: allSchemes,
		}
	}
	byCallback := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }}
	fixed := func(kinds ...string) *tls.Config {
		config := new(tls.Config)
		for _, kind := range kinds {
			config.Certificates = append(config.Certificates, certificateOf(t, kind).certificate)
		}
		return config
	}
	for _, test := range []struct {
		config *tls.Config
		curves []tls.CurveID
		suits  bool
	}{
		{fixed("ecdsa-p256"), []tls.CurveID{tls.X25519, tls.CurveP256}, true},
		{fixed("ecdsa-p256"), []tls.CurveID{tls.X25519}, false},
		{fixed("ecdsa-p384"), []tls.CurveID{tls.X25519, tls.CurveP256}, false},
		{fixed("ecdsa-p256", "ecdsa-p521"), []tls.CurveID{tls.CurveP256}, false},
		{fixed("rsa-2048"), []tls.CurveID{tls.X25519}, true},
		{byCallback, []tls.CurveID{tls.X25519, tls.CurveP256}, true},
		{byCallback, []tls.CurveID{tls.X25519}, false},
	} {
		if got := Suits(test.config, hello(test.curves...)); got != test.suits {
			t.Errorf("with %d certificates, a client of %v suits: %v", len(test.config.Certificates), test.curves, got)
		}
	}
}

// TestCertificateTypesAsked checks RFC 5246, section 7.4.4: the client's key must be of a
// type that the server asks for, even if its callback chooses another.
func TestCertificateTypesAsked(t *testing.T) {
	client, server := clientConfig(t), serverConfig(t)
	server.ClientAuth = tls.RequireAnyClientCert
	one := certificateOf(t, "ecdsa-p256").certificate
	client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &one, nil }
	connect(t, client, server, nil, nil)
	rsaAlone := func(records [][]byte) [][]byte {
		var m certificateRequestMsg
		if !parseMessage(&m, records[3][recordHeaderLen:]) {
			t.Error("the fourth record is no CertificateRequest")
		}
		m.types = []byte{certTypeRSASign}
		records[3] = handshakeRecord(&m)
		return records
	}
	testClientOrder(t, mutation{0, rsaAlone, alertHandshakeFailure}, server, client, nil)
}

// TestTimestampsOfSession checks RFC 6962, section 3.3.1: on resumption the signed
// certificate timestamps are the session's, whose certificate they belong to, whatever the
// server sends.
func TestTimestampsOfSession(t *testing.T) {
	made := establish(t, clientConfig(t), serverConfig(t), &mapSessions{})
	made = change(made, func(s *Session) { s.SignedCertificateTimestamps = [][]byte{[]byte("session's")} })
	clientConn, _ := tcpPair(t)
	c := newClient(t, clientConn, clientConfig(t), made)
	random := make([]byte, randomLen)
	h := &serverHelloRead{clientHandshake: &clientHandshake{c: c, offer: made, suite: suiteByID(made.CipherSuite)}}
	h.hello.random, h.reply.random = random, random
	h.answer.timestamps = [][]byte{[]byte("other")}
	must(t, h.agree())
	_, err := h.acceptResumption()
	must(t, err)
	if got := c.agreed.timestamps; !slices.EqualFunc(got, made.SignedCertificateTimestamps, slices.Equal) {
		t.Errorf("the timestamps are %q", got)
	}
}
