package tls12

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testca"
)

// A verifyCall is one call of VerifyPeerCertificate.
type verifyCall struct {
	Raw    [][]byte
	Chains [][][]byte // nil if the argument was nil
}

func rawChains(chains [][]*x509.Certificate) (raw [][][]byte) {
	if chains != nil {
		raw = [][][]byte{}
	}
	for _, chain := range chains {
		var one [][]byte
		for _, certificate := range chain {
			one = append(one, certificate.Raw)
		}
		raw = append(raw, one)
	}
	return raw
}

// TestVerifyPeerCertificate checks that a server calls VerifyPeerCertificate when crypto/tls
// does, with the same arguments: also without certificates, if one was requested and the
// client has none.
func TestVerifyPeerCertificate(t *testing.T) {
	ca, tomorrow := testca.Root("ca", testca.ECDSA), time.Now().Add(24*time.Hour)
	clients := map[string]tls.Certificate{
		"no certificate":          {},
		"a trusted certificate":   ca.Client("client", tomorrow),
		"a chain of three":        ca.Intermediate("intermediate").Client("client", tomorrow),
		"an unknown authority":    testca.Root("other", testca.ECDSA).Client("client", tomorrow),
		"an expired certificate":  ca.Client("client", time.Now().Add(-time.Minute)),
		"a self-signed one":       testca.SelfSigned("client", tomorrow),
		"a certificate of nobody": {Certificate: [][]byte{{1}}, PrivateKey: ca.Server().PrivateKey},
	}
	engines := []func(net.Conn, *tls.Config) engine{
		func(conn net.Conn, config *tls.Config) engine { return tls.Server(conn, config) },
		func(conn net.Conn, config *tls.Config) engine { return newServer(t, conn, config, &mapSessions{}) },
	}
	calls := 0
	for auth := tls.NoClientCert; auth <= tls.RequireAndVerifyClientCert; auth++ {
		for name, certificate := range clients {
			for _, answer := range []error{nil, errors.New("no")} {
				t.Run(fmt.Sprintf("%v/%s/%v", auth, name, answer), func(t *testing.T) {
					var got [2][]verifyCall
					var ends [2]string
					for i, open := range engines {
						server, client := serverConfig(t), clientConfig(t)
						server.ClientAuth, server.ClientCAs = auth, ca.Pool()
						server.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
							got[i] = append(got[i], verifyCall{raw, rawChains(chains)})
							return answer
						}
						client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
						clientConn, serverConn := tcpPair(t)
						clientErr, serverErr := handshakes(tls.Client(clientConn, client), open(serverConn, server))
						alert, _ := alertIn(clientErr)
						ends[i] = fmt.Sprintf("server fails: %v, the client's alert: %v", serverErr != nil, alert)
					}
					if !reflect.DeepEqual(got[1], got[0]) || ends[1] != ends[0] {
						t.Errorf("%+v, %s; crypto/tls: %+v, %s", got[1], ends[1], got[0], ends[0])
					}
					calls += len(got[0])
				})
			}
		}
	}
	if calls == 0 {
		t.Error("nothing was compared")
	}
}
