package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testca"
)

// withClients makes a front ask for client certificates.
func withClients(root *testca.CA, auth tls.ClientAuthType) func(*http.Server, *tls.Config) {
	return func(_ *http.Server, config *tls.Config) { config.ClientAuth, config.ClientCAs = auth, root.Pool() }
}

// resumptions are the ways in which a client resumes: by a ticket of TLS 1.3, by
// one of TLS 1.2, and by a session id.
var resumptions = append([]way{{"crypto_tls, 1.2, HTTP_1.1", standard, tls.VersionTLS12, false, false}}, ways...)

// TestClientCert: the backend gets the certificate on full and on resumed connections, and
// never a header that the client made up.
func TestClientCert(t *testing.T) {
	root := testca.Root("clients", testca.ECDSA)
	pair := root.Intermediate("sub").Client("alice", time.Now().Add(time.Hour))
	leaf := ":" + base64.StdEncoding.EncodeToString(pair.Certificate[0]) + ":"
	backend := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%q %q", r.Header["Client-Cert"], r.Header["Client-Cert-Chain"])
	})
	for _, c := range []struct {
		name    string
		options HTTPOptions
		present bool
		want    string
	}{
		{"the leaf", HTTPOptions{ClientCert: true}, true, fmt.Sprintf("%q []", []string{leaf})},
		{"off", HTTPOptions{}, true, "[] []"},
		{"a client without", HTTPOptions{ClientCert: true}, false, "[] []"},
	} {
		for _, w := range resumptions {
			t.Run(c.name+", "+w.name, func(t *testing.T) {
				f := newFront(t, w, backend, c.options, withClients(root, tls.VerifyClientCertIfGiven))
				config := clientConfig(w.version)
				if c.present {
					config.Certificates = []tls.Certificate{pair}
				}
				client := f.clientWith(t, config)
				for i := range 3 {
					r := newRequest(t, "GET", f.url("/"), nil)
					r.Header.Set("Client-Cert", ":bWFkZSB1cA==:")
					r.Header.Set("Client-Cert-Chain", ":bWFkZSB1cA==:")
					response := send(t, client, r)
					if got := bodyOf(t, response); got != c.want {
						t.Errorf("connection %d: the backend saw\n%s, want\n%s", i, got, c.want)
					}
					if resumed := f.didResume(response); resumed != (i > 0) {
						t.Errorf("connection %d: resumed %v", i, resumed)
					}
					client.CloseIdleConnections()
				}
			})
		}
	}
}

// TestUnverifiedClientCert: the backend does not get a certificate that was not verified.
func TestUnverifiedClientCert(t *testing.T) {
	address, seen := seenBy(t)
	f := newFront(t, ways[0], address, HTTPOptions{ClientCert: true}, withClients(ca, tls.RequireAnyClientCert))
	config := clientConfig(f.way.version)
	pair := testca.Root("nobody", testca.ECDSA).Client("mallory", time.Now().Add(time.Hour))
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	response := send(t, f.clientWith(t, config), newRequest(t, "GET", f.url("/"), nil))
	if got := (*seen)["Client-Cert"]; response.StatusCode != 200 || got != nil {
		t.Errorf("%s; the backend saw %q", response.Status, got)
	}
}

// TestLargeClientCert: a client whose certificate is too large for the header is refused,
// not passed on as a client without a certificate.
func TestLargeClientCert(t *testing.T) {
	address, seen := seenBy(t)
	for size, want := range map[int]int{2 << 10: http.StatusOK, 4 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		pair := largeCert(t, size)
		f := newFront(t, ways[0], address, HTTPOptions{ClientCert: true}, func(_ *http.Server, config *tls.Config) {
			config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
			config.ClientCAs.AddCert(pair.Leaf)
		})
		config := clientConfig(f.way.version)
		config.Certificates = []tls.Certificate{pair}
		*seen = nil
		response := send(t, f.clientWith(t, config), newRequest(t, "GET", f.url("/"), nil))
		if response.StatusCode != want || (*seen != nil) != (want == http.StatusOK) {
			t.Errorf("a certificate of %d bytes: %s, and the backend saw %v", size, response.Status, *seen)
		}
	}
}

// largeCert returns a certificate of more than twice the given size, with its authority's
// names.
func largeCert(t *testing.T, size int) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: strings.Repeat("x", size)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
