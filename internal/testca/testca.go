// Package testca makes certificate authorities and certificates for tests.
package testca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"time"
)

// A Kind is a kind of key.
type Kind int

// The kinds of keys.
const (
	ECDSA Kind = iota // P-256
	RSA               // 2048 bits
)

func (k Kind) String() string { return [...]string{"ecdsa", "rsa"}[k] }

// A CA issues certificates. Chain is what its certificates need beside them: the
// CA's own certificate where it is an intermediate.
type CA struct {
	Kind  Kind
	Cert  *x509.Certificate
	Chain [][]byte
	key   crypto.Signer
}

// Root makes a self-signed CA.
func Root(name string, kind Kind) *CA {
	key := newKey(kind)
	template := caTemplate(name)
	return &CA{Kind: kind, Cert: sign(template, template, key.Public(), key), key: key}
}

// Intermediate makes a CA below ca.
func (ca *CA) Intermediate(name string) *CA {
	key := newKey(ca.Kind)
	cert := sign(caTemplate(name), ca.Cert, key.Public(), ca.key)
	return &CA{Kind: ca.Kind, Cert: cert, Chain: append([][]byte{cert.Raw}, ca.Chain...), key: key}
}

// Pool returns a pool of the CA's certificate alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert)
	return pool
}

// Server issues a certificate for localhost, 127.0.0.1, ::1 and names, valid for a day.
func (ca *CA) Server(names ...string) tls.Certificate {
	return ca.ServerUntil(time.Now().Add(24*time.Hour), names...)
}

// ServerUntil is Server with another end.
func (ca *CA) ServerUntil(notAfter time.Time, names ...string) tls.Certificate {
	template := leafTemplate("server", x509.ExtKeyUsageServerAuth, notAfter)
	template.DNSNames = append([]string{"localhost"}, names...)
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	return ca.issue(template)
}

// Client issues a client certificate that is valid until notAfter.
func (ca *CA) Client(name string, notAfter time.Time) tls.Certificate {
	return ca.issue(leafTemplate(name, x509.ExtKeyUsageClientAuth, notAfter))
}

// SelfSigned makes a client certificate that no authority has issued.
func SelfSigned(name string, notAfter time.Time) tls.Certificate {
	key := newKey(ECDSA)
	template := leafTemplate(name, x509.ExtKeyUsageClientAuth, notAfter)
	leaf := sign(template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

func (ca *CA) issue(template *x509.Certificate) tls.Certificate {
	key := newKey(ca.Kind)
	leaf := sign(template, ca.Cert, key.Public(), ca.key)
	return tls.Certificate{Certificate: append([][]byte{leaf.Raw}, ca.Chain...), PrivateKey: key, Leaf: leaf}
}

func caTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
}

func leafTemplate(name string, usage x509.ExtKeyUsage, notAfter time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
}

func newKey(kind Kind) crypto.Signer {
	if kind == RSA {
		return must(rsa.GenerateKey(rand.Reader, 2048))
	}
	return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, parent, public, key))))
}

func serial() *big.Int { return must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("testca: %v", err))
	}
	return v
}
