package tls12

import (
	"crypto/tls"
	"slices"
	"testing"
)

// The first two tests send hellos that say what they must not, or lack what they must.

func TestClientRefusesHello(t *testing.T) {
	extra := func(kind extensionType, data ...byte) func(*serverHelloMsg) {
		return func(m *serverHelloMsg) {
			m.extensions.list = append(m.extensions.list, extension{kind, data})
		}
	}
	replaced := func(kind extensionType, data ...byte) func(*serverHelloMsg) {
		return func(m *serverHelloMsg) {
			m.extensions.list = slices.DeleteFunc(m.extensions.list, func(e extension) bool { return e.kind == kind })
			m.extensions.list = append(m.extensions.list, extension{kind, data})
		}
	}
	for name, test := range map[string]struct {
		edit  func(*serverHelloMsg)
		alert tls.AlertError
	}{
		"version 1.1":                             {func(m *serverHelloMsg) { m.version = tls.VersionTLS11 }, alertProtocolVersion},
		"version 1.3 by its field":                {func(m *serverHelloMsg) { m.version = tls.VersionTLS13 }, alertProtocolVersion},
		"version 1.3 by an extension":             {extra(extSupportedVersions, 3, 4), alertUnsupportedExtension},
		"the sentinel of 1.1":                     {func(m *serverHelloMsg) { copy(m.random[24:], sentinelTLS11) }, alertIllegalParameter},
		"a suite not offered":                     {func(m *serverHelloMsg) { m.suite = tls.TLS_RSA_WITH_AES_128_GCM_SHA256 }, alertIllegalParameter},
		"a suite for another key":                 {func(m *serverHelloMsg) { m.suite = rsaAES128.id }, alertIllegalParameter},
		"compression":                             {func(m *serverHelloMsg) { m.compression = 1 }, alertIllegalParameter},
		"an extension not offered":                {extra(99), alertUnsupportedExtension},
		"a protocol not offered":                  {extra(extALPN, 0, 2, 1, 'b'), alertIllegalParameter},
		"two protocols":                           {extra(extALPN, 0, 4, 1, 'a', 1, 'a'), alertDecodeError},
		"an extension twice":                      {extra(extExtendedMasterSecret), alertDecodeError},
		"a session ticket":                        {extra(extSessionTicket), alertUnsupportedExtension},
		"renegotiation":                           {replaced(extRenegotiationInfo, 1, 0), alertHandshakeFailure},
		"a malformed extension":                   {replaced(extExtendedMasterSecret, 0), alertDecodeError},
		"compressed points":                       {replaced(extPointFormats, 1, 1), alertIllegalParameter},
		"CVE-2002-0656: a session id of 33 bytes": {func(m *serverHelloMsg) { m.sessionID = make([]byte, 33) }, alertDecodeError},
	} {
		t.Run(name, func(t *testing.T) {
			m := mutation{0, func(records [][]byte) [][]byte { return editServerHello(records, test.edit) }, test.alert}
			client := clientConfig(t)
			client.NextProtos = []string{"a"}
			testClientOrder(t, m, serverConfig(t), client, nil)
		})
	}
}

func TestServerRefusesHello(t *testing.T) {
	extra := func(kind extensionType, data ...byte) func(*clientHelloMsg) {
		return func(m *clientHelloMsg) {
			m.extensions.list = slices.DeleteFunc(m.extensions.list, func(e extension) bool { return e.kind == kind })
			m.extensions.list = append(m.extensions.list, extension{kind, data})
		}
	}
	for name, test := range map[string]struct {
		edit  func(*clientHelloMsg)
		alert tls.AlertError
	}{
		"version 1.1":                             {func(m *clientHelloMsg) { m.version = tls.VersionTLS11 }, alertProtocolVersion},
		"supported_versions of 1.3":               {extra(extSupportedVersions, 2, 3, 4), alertProtocolVersion},
		"no suite known":                          {func(m *clientHelloMsg) { m.suites = []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA} }, alertHandshakeFailure},
		"no suite":                                {func(m *clientHelloMsg) { m.suites = nil }, alertDecodeError},
		"no null compression":                     {func(m *clientHelloMsg) { m.compressions = []byte{1} }, alertIllegalParameter},
		"no compression method":                   {func(m *clientHelloMsg) { m.compressions = nil }, alertDecodeError},
		"renegotiation":                           {extra(extRenegotiationInfo, 1, 0), alertHandshakeFailure},
		"compressed points":                       {extra(extPointFormats, 1, 1), alertIllegalParameter},
		"no group known":                          {extra(extSupportedGroups, 0, 2, 0, 99), alertHandshakeFailure},
		"no group":                                {extra(extSupportedGroups, 0, 0), alertDecodeError},
		"no signature known":                      {extra(extSignatureAlgorithms, 0, 2, 2, 3), alertHandshakeFailure},
		"a name with a dot":                       {extra(extServerName, 0, 5, 0, 0, 2, 'a', '.'), alertDecodeError},
		"two names":                               {extra(extServerName, 0, 8, 0, 0, 1, 'a', 0, 0, 1, 'b'), alertDecodeError},
		"an extension twice":                      {func(m *clientHelloMsg) { m.extensions.list = append(m.extensions.list, m.extensions.list[0]) }, alertDecodeError},
		"no protocol in common":                   {extra(extALPN, 0, 2, 1, 'a'), alertNoApplicationProtocol},
		"an empty protocol":                       {extra(extALPN, 0, 1, 0), alertDecodeError},
		"CVE-2002-0656: a session id of 33 bytes": {func(m *clientHelloMsg) { m.sessionID = make([]byte, 33) }, alertDecodeError},
	} {
		t.Run(name, func(t *testing.T) {
			server := serverConfig(t)
			server.NextProtos = []string{"b"}
			m := mutation{0, func(records [][]byte) [][]byte { return editClientHello(records, test.edit) }, test.alert}
			testServerOrder(t, m, server, clientConfig(t), nil)
		})
	}
}

// TestFallback checks RFC 7507, in full and abbreviated handshakes.
func TestFallback(t *testing.T) {
	fallback := mutation{0, func(records [][]byte) [][]byte {
		return editClientHello(records, func(m *clientHelloMsg) { m.suites = append(m.suites, fallbackSCSV) })
	}, alertInappropriateFallback}
	server := serverConfig(t)
	server.MaxVersion = 0
	testServerOrder(t, fallback, server, clientConfig(t), nil)

	sessions := &mapSessions{}
	made := establish(t, clientConfig(t), server, sessions)
	testServerOrder(t, fallback, server, clientConfig(t), &proposal{sessions, made})
}

// TestSentinel checks RFC 8446, section 4.1.3, in full and abbreviated handshakes.
func TestSentinel(t *testing.T) {
	for _, max := range []uint16{0, tls.VersionTLS12, tls.VersionTLS13} {
		server, sessions := serverConfig(t), &mapSessions{}
		server.MaxVersion = max
		made := establish(t, clientConfig(t), server, sessions)
		for _, proposed := range []*Session{nil, made} {
			clientConn, serverConn := tcpPair(t)
			var random []byte
			see := func(flight int, records [][]byte) [][]byte {
				if flight == 0 {
					records = editServerHello(records, func(m *serverHelloMsg) { random = m.random })
				}
				return records
			}
			c := newClient(t, clientConn, clientConfig(t), proposed)
			s := newServer(t, &mutatedConn{Conn: serverConn, mutate: see}, server, sessions)
			if clientErr, serverErr := handshakes(c, s); clientErr != nil || serverErr != nil {
				t.Fatalf("client: %v; server: %v", clientErr, serverErr)
			}
			if c.ConnectionState().DidResume != (proposed != nil) {
				t.Error("it resumed, or did not")
			}
			if got, want := string(random[24:]) == sentinelTLS12, max != tls.VersionTLS12; got != want {
				t.Errorf("MaxVersion %#x, resumed %v: the random ends in %q", max, proposed != nil, random[24:])
			}
		}
	}
}

// TestDowngradeSeen checks that crypto/tls's client, which supports TLS 1.3, sees the
// sentinel.
func TestDowngradeSeen(t *testing.T) {
	server, client := serverConfig(t), clientConfig(t)
	server.MaxVersion, client.MaxVersion = 0, 0
	clientConn, serverConn := tcpPair(t)
	clientErr, serverErr := handshakes(tls.Client(clientConn, client), newServer(t, serverConn, server, nil))
	wantAlert(t, serverErr, "remote error", alertIllegalParameter)
	if clientErr == nil {
		t.Error("the client did not see the downgrade")
	}
}
