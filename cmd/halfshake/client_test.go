package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/internal/testsecrets"
)

// client makes a connection for each request and keeps the sessions.
type client struct{ http *http.Client }

// newClient returns a client for the protocol versions that config allows. What it
// learns of secrets is recorded.
func newClient(config *tls.Config, h2 bool) *client {
	config.InsecureSkipVerify = true // TestSelfMadeNames verifies
	config.ClientSessionCache = recordingCache{tls.NewLRUClientSessionCache(8)}
	config.KeyLogWriter = testsecrets.KeyLog()
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true, ForceAttemptHTTP2: h2}
	return &client{&http.Client{Transport: transport, Timeout: scriptLimit}}
}

func (c *client) get(url string) (body []byte, err error) {
	response, err := c.http.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(response.Body); err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return body, fmt.Errorf("%s: %s", url, response.Status)
	}
	return body, nil
}

// recordingCache records the ids by which sessions are offered.
type recordingCache struct{ tls.ClientSessionCache }

func (c recordingCache) Put(key string, s *tls.ClientSessionState) {
	if s != nil {
		if ticket, _, err := s.ResumptionState(); err == nil {
			testsecrets.Record(ticket)
		}
	}
	c.ClientSessionCache.Put(key, s)
}

func get(ts *testscript.TestScript, neg bool, args []string) {
	flags := flag.NewFlagSet("get", flag.ContinueOnError)
	version := flags.String("tls", "", "")
	h2 := flags.Bool("h2", false, "")
	cert := flags.String("cert", "", "")
	if flags.Parse(args) != nil || flags.NArg() != 1 {
		ts.Fatalf("usage: get [-tls 1.2|1.3] [-h2] [-cert NAME] URL")
	}
	options := strings.Join(args[:len(args)-1], " ")
	s := scriptOf(ts)
	if s.clients[options] == nil {
		s.clients[options] = newClient(clientConfig(ts, *version, *cert), *h2)
	}
	body, err := s.clients[options].get(flags.Arg(0))
	_, _ = recorded(ts.Stdout()).Write(body)
	if err != nil {
		fmt.Fprintln(recorded(ts.Stderr()), err)
	}
	if neg != (err != nil) {
		ts.Fatalf("get: error: %v", err)
	}
}

func clientConfig(ts *testscript.TestScript, version, cert string) *tls.Config {
	config := &tls.Config{}
	switch version {
	case "1.2":
		config.MaxVersion = tls.VersionTLS12
	case "1.3":
		config.MinVersion = tls.VersionTLS13
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(ts.MkAbs(cert+".pem"), ts.MkAbs(cert+".key"))
		ts.Check(err)
		// Unlike Certificates, this is sent whatever authorities the server names.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return config
}

// presents looks at the certificate in a handshake of TLS 1.3, where the client
// sees it before the server sees the client's.
func presents(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: presents NAME")
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, KeyLogWriter: testsecrets.KeyLog()}
	conn, err := tls.Dial("tcp", ts.Getenv("LISTEN"), config)
	ts.Check(err)
	defer conn.Close()
	want, _ := pem.Decode([]byte(ts.ReadFile(args[0] + ".pem")))
	if got := conn.ConnectionState().PeerCertificates[0]; !bytes.Equal(got.Raw, want.Bytes) {
		ts.Fatalf("the server presents another certificate, of %v", got.Subject)
	}
}

func makeCA(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ca NAME")
	}
	ca := testca.Root(args[0], testca.ECDSA)
	scriptOf(ts).cas[args[0]] = ca
	writePEM(ts, args[0]+".pem", "CERTIFICATE", ca.Cert.Raw)
}

func makeCert(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || scriptOf(ts).cas[args[0]] == nil {
		ts.Fatalf("usage: ca CA; cert CA NAME")
	}
	ca := scriptOf(ts).cas[args[0]]
	pair := ca.Server()
	if strings.Contains(args[1], "client") {
		pair = ca.Client(args[1], time.Now().Add(time.Hour))
	}
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	ts.Check(err)
	writePEM(ts, args[1]+".pem", "CERTIFICATE", pair.Certificate[0])
	writePEM(ts, args[1]+".key", "PRIVATE KEY", key)
}

// selfSigned makes a server's certificate that has as many flaws as the flags say.
func selfSigned(ts *testscript.TestScript, neg bool, args []string) {
	flags := flag.NewFlagSet("selfsigned", flag.ContinueOnError)
	from := flags.Duration("from", -time.Hour, "")
	until := flags.Duration("until", 24*time.Hour, "")
	keyOf := flags.String("key", "", "")
	client := flags.Bool("client", false, "")
	nameless := flags.Bool("nameless", false, "")
	if neg || flags.Parse(args) != nil || flags.NArg() != 1 {
		ts.Fatalf("usage: selfsigned [-from DURATION] [-until DURATION] [-key NAME] [-client] [-nameless] NAME")
	}
	template := &x509.Certificate{
		DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(*from), NotAfter: time.Now().Add(*until),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if *nameless {
		template.DNSNames = nil
	}
	if *client {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	if *keyOf != "" {
		pair, err := tls.LoadX509KeyPair(ts.MkAbs(*keyOf+".pem"), ts.MkAbs(*keyOf+".key"))
		ts.Check(err)
		key = pair.PrivateKey.(*ecdsa.PrivateKey)
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	writePEM(ts, flags.Arg(0)+".pem", "CERTIFICATE", cert)
	writePEM(ts, flags.Arg(0)+".key", "PRIVATE KEY", secret)
}

func writePEM(ts *testscript.TestScript, name, kind string, der []byte) {
	ts.Check(os.WriteFile(ts.MkAbs(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}
