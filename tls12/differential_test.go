package tls12

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
)

var differentialRuns = flag.Int("differential", 150, "random configurations that TestDifferential tries")

// TestDifferential checks that this engine, as a server, as a client and with itself,
// agrees on the same as crypto/tls does with itself under the same configurations, and
// fails where crypto/tls fails.
func TestDifferential(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	failed := 0
	for run := range *differentialRuns {
		c := drawCase(rand.New(rand.NewPCG(seed, uint64(run))))
		if !t.Run(fmt.Sprint(run), func(t *testing.T) { c.check(t) }) {
			t.Logf("run %d: %+v", run, c)
		}
		if c.fails {
			failed++
		}
	}
	t.Logf("%d of %d handshakes were to fail, and did", failed, *differentialRuns)
}

// A differentialCase is a pair of configurations, and how their bytes are split on the
// way.
type differentialCase struct {
	serverKinds               []string
	serverSuites              []uint16
	clientSuites              []uint16
	serverCurves              []tls.CurveID
	clientCurves              []tls.CurveID
	serverProtos              []string
	clientProtos              []string
	serverName                string
	staple                    bool
	auth                      tls.ClientAuthType
	clientKind                string // "" for none
	trustClient               bool
	pieces, records           int // see choppedConn
	size                      int
	getCertificate, getClient bool
	fails                     bool // set by check
}

func drawCase(r *rand.Rand) *differentialCase {
	kinds := []string{"ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "ed25519"}
	c := &differentialCase{
		serverKinds:    some(r, kinds, 2),
		serverSuites:   some(r, allowedSuites(&tls.Config{}), 6),
		clientSuites:   some(r, allowedSuites(&tls.Config{}), 6),
		serverCurves:   some(r, groups, 3),
		clientCurves:   some(r, groups, 3),
		serverProtos:   some(r, []string{"h2", "http/1.1", "x"}, 2),
		clientProtos:   some(r, []string{"h2", "http/1.1", "x"}, 2),
		serverName:     pick(r, []string{"localhost", "other.test", "wrong.test", "localhost", "localhost."}),
		staple:         r.IntN(2) == 0,
		auth:           tls.ClientAuthType(r.IntN(5)),
		clientKind:     pick(r, append([]string{""}, kinds...)),
		trustClient:    r.IntN(4) != 0,
		pieces:         pick(r, []int{0, 0, 1, 7, 1000}),
		records:        pick(r, []int{0, 0, 1, 3, 100}),
		size:           pick(r, []int{0, 1, 1000, 70_000}),
		getCertificate: r.IntN(3) == 0,
		getClient:      r.IntN(3) == 0,
	}
	if r.IntN(3) != 0 { // otherwise most handshakes would fail for one reason or another
		c.serverSuites, c.serverCurves, c.serverName = nil, nil, "localhost"
	}
	if r.IntN(3) != 0 {
		c.clientSuites, c.clientCurves, c.clientProtos = nil, nil, nil
	}
	return c
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// some returns 1 to n elements of from in random order.
func some[T any](r *rand.Rand, from []T, n int) []T {
	from = slices.Clone(from)
	r.Shuffle(len(from), func(i, j int) { from[i], from[j] = from[j], from[i] })
	return from[:1+r.IntN(n)]
}

func orAll[T any](some, all []T) []T {
	if some == nil {
		return all
	}
	return some
}

func (c *differentialCase) configs(t *testing.T) (client, server *tls.Config) {
	all := allowedSuites(&tls.Config{})
	server = serverConfig(t)
	server.Certificates = nil
	client = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: c.serverName, MaxVersion: tls.VersionTLS12}
	for _, kind := range c.serverKinds {
		one := certificateOf(t, kind).certificate
		if c.staple {
			one.OCSPStaple, one.SignedCertificateTimestamps = []byte("staple"), [][]byte{[]byte("sct 1"), []byte("sct 2")}
		}
		server.Certificates = append(server.Certificates, one)
		client.RootCAs.AddCert(one.Leaf)
	}
	server.CipherSuites, client.CipherSuites = orAll(c.serverSuites, all), orAll(c.clientSuites, all)
	server.CurvePreferences, client.CurvePreferences = orAll(c.serverCurves, groups), orAll(c.clientCurves, groups)
	server.NextProtos, client.NextProtos = c.serverProtos, c.clientProtos
	server.ClientAuth, server.ClientCAs = c.auth, x509.NewCertPool()
	if c.clientKind != "" {
		one := certificateOf(t, c.clientKind).certificate
		client.Certificates = []tls.Certificate{one}
		if c.trustClient {
			server.ClientCAs.AddCert(one.Leaf)
		}
	}
	if c.getCertificate {
		server.GetCertificate = func(info *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if info.Context() == nil || info.Conn == nil {
				t.Error("the ClientHelloInfo has no context or no connection")
			}
			for _, one := range server.Certificates {
				if info.SupportsCertificate(&one) == nil {
					return &one, nil
				}
			}
			return nil, nil
		}
	}
	if c.getClient && c.clientKind != "" {
		one := client.Certificates[0]
		client.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if info.SupportsCertificate(&one) != nil {
				return new(tls.Certificate), nil
			}
			return &one, nil
		}
	}
	return client, server
}

// check runs the four pairs of engines.
func (c *differentialCase) check(t *testing.T) {
	clientConfig, serverConfig := c.configs(t)
	tlsClient := func(conn net.Conn) engine { return tls.Client(conn, clientConfig) }
	tlsServer := func(conn net.Conn) engine { return tls.Server(conn, serverConfig) }
	ourClient := func(conn net.Conn) engine { return newClient(t, conn, clientConfig, nil) }
	ourServer := func(conn net.Conn) engine { return newServer(t, conn, serverConfig, nil) }
	want := c.run(t, tlsClient, tlsServer)
	if c.curveNotOffered(want) {
		want = outcome{failure: "failed"}
	}
	c.fails = want.client == "" || want.server == ""
	for name, got := range map[string]outcome{
		"our server":         c.run(t, tlsClient, ourServer),
		"our client":         c.run(t, ourClient, tlsServer),
		"our client, server": c.run(t, ourClient, ourServer),
	} {
		if got != want {
			t.Errorf("%s agreed on\n%+v\nwhile crypto/tls agrees on\n%+v", name, got, want)
		}
	}
	if !c.fails {
		c.checkResumption(t, want)
	}
}

// curveNotOffered reports the one difference: crypto/tls accepts a server's ECDSA key on
// a curve that the client does not offer. This package refuses it on either side (RFC
// 8422, section 5.3).
func (c *differentialCase) curveNotOffered(want outcome) bool {
	for kind, id := range map[string]tls.CurveID{"ecdsa-p256": tls.CurveP256, "ecdsa-p384": tls.CurveP384, "ecdsa-p521": tls.CurveP521} {
		if strings.Contains(want.client, "peers ["+kind+"]") && !slices.Contains(orAll(c.clientCurves, groups), id) {
			return true
		}
	}
	return false
}

// checkResumption checks that an abbreviated handshake restores everything that the full
// handshake agreed on.
func (c *differentialCase) checkResumption(t *testing.T, want outcome) {
	clientConfig, serverConfig := c.configs(t)
	sessions := &mapSessions{}
	var last *Conn
	var made *Session
	ourClient := func(conn net.Conn) engine {
		last = newClient(t, conn, clientConfig, made)
		return last
	}
	ourServer := func(conn net.Conn) engine { return newServer(t, conn, serverConfig, sessions) }
	for _, resumed := range []string{"resumed false", "resumed true"} {
		want.client = strings.Replace(want.client, "resumed false", resumed, 1)
		want.server = strings.Replace(want.server, "resumed false", resumed, 1)
		if got := c.run(t, ourClient, ourServer); got != want {
			t.Errorf("the handshake agreed on\n%+v\nwant\n%+v", got, want)
		}
		made = last.Session()
	}
}

// An outcome is what both sides agreed on; a side that failed has "".
type outcome struct{ client, server, failure string }

func (c *differentialCase) run(t *testing.T, newClient, newServer func(net.Conn) engine) outcome {
	clientConn, serverConn := tcpPair(t)
	defer clientConn.Close()
	defer serverConn.Close()
	client := newClient(&choppedConn{Conn: clientConn, pieces: c.pieces, records: c.records})
	server := newServer(&choppedConn{Conn: serverConn, pieces: c.pieces, records: c.records})
	clientErr, serverErr := handshakes(client, server)
	o := outcome{client: agreedBy(client, clientErr), server: agreedBy(server, serverErr)}
	if clientErr != nil || serverErr != nil {
		// In the last flight of TLS 1.2, the network decides which side fails
		// first.
		return outcome{failure: "failed"}
	}
	sameSecrets(t, client, server)
	exchange(t, client, server, make([]byte, c.size))
	return o
}

func agreedBy(side engine, err error) string {
	if err != nil {
		return ""
	}
	s := side.ConnectionState()
	var names []string
	for _, one := range s.PeerCertificates {
		names = append(names, one.Subject.CommonName)
	}
	return fmt.Sprintf("%v version %x suite %x curve %v alpn %q name %q resumed %v peers %v chains %d staple %q scts %q",
		s.HandshakeComplete, s.Version, s.CipherSuite, s.CurveID, s.NegotiatedProtocol, s.ServerName, s.DidResume,
		names, len(s.VerifiedChains), s.OCSPResponse, s.SignedCertificateTimestamps)
}

// sameSecrets checks that both sides derive the same secrets.
func sameSecrets(t *testing.T, client, server engine) {
	t.Helper()
	if a, b := client.ConnectionState().TLSUnique, server.ConnectionState().TLSUnique; len(a) != 12 || string(a) != string(b) {
		t.Errorf("tls-unique is %x and %x", a, b)
	}
	for _, context := range [][]byte{nil, {}, []byte("context")} {
		a, err := export(client, "EXPERIMENTAL test", context)
		if err != nil {
			t.Errorf("exporting: %v", err)
		}
		b, err := export(server, "EXPERIMENTAL test", context)
		if err != nil {
			t.Errorf("exporting: %v", err)
		}
		if hashed(a) != hashed(b) {
			t.Errorf("with the context %q both sides export different keying material", context)
		}
	}
}

func hashed(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
