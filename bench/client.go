package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/halfshake/halfshake/internal/testca"
)

// A workload is what the clients do: a protocol version, and a chain of client
// certificates or none.
type workload struct {
	name    string
	version uint16
	cert    *tls.Certificate
}

// prepare writes the server's certificates to dir and returns the workloads.
func prepare(dir string) ([]workload, *x509.CertPool, error) {
	server := testca.Root("bench server CA", testca.ECDSA)
	root := testca.Root("bench client root", testca.RSA)
	inter := root.Intermediate("bench client CA")
	client := inter.Client("bench", time.Now().Add(24*time.Hour))
	if err := writeCertificates(dir, server.Server(), root); err != nil {
		return nil, nil, err
	}
	return []workload{
		{"TLS 1.3", tls.VersionTLS13, nil},
		{"TLS 1.2", tls.VersionTLS12, nil},
		{"TLS 1.3, client chain of two RSA-2048 certificates", tls.VersionTLS13, &client},
		{"TLS 1.2, client chain of two RSA-2048 certificates", tls.VersionTLS12, &client},
	}, server.Pool(), nil
}

func writeCertificates(dir string, server tls.Certificate, clientRoot *testca.CA) error {
	key, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	if err != nil {
		return err
	}
	both := append(pemBlock("CERTIFICATE", server.Certificate[0]), pemBlock("PRIVATE KEY", key)...)
	return errors.Join(
		os.WriteFile(dir+"/server.pem", both, 0o600),
		os.WriteFile(dir+"/client-ca.pem", pemBlock("CERTIFICATE", clientRoot.Cert.Raw), 0o600))
}

func pool(file string) (*x509.CertPool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s: no certificate in it", file)
	}
	return p, nil
}

// clientConfig is a client of w with a session cache.
func (w workload) clientConfig(roots *x509.CertPool) *tls.Config {
	config := &tls.Config{
		RootCAs: roots, ServerName: "localhost", MinVersion: w.version, MaxVersion: w.version,
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	if w.cert != nil {
		config.Certificates = []tls.Certificate{*w.cert}
	}
	return config
}

// visit makes one connection, and returns whether it resumed and the length in
// bytes of the ClientHello's record.
func visit(addr string, config *tls.Config) (resumed bool, hello int, err error) {
	raw, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return false, 0, err
	}
	first := &firstWrite{Conn: raw}
	conn := tls.Client(first, config)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		return false, 0, err
	}
	return conn.ConnectionState().DidResume, first.n, nil
}

// firstWrite notes the length of a connection's first write.
type firstWrite struct {
	net.Conn
	n int
}

func (f *firstWrite) Write(b []byte) (int, error) {
	if f.n == 0 {
		f.n = len(b)
	}
	return f.Conn.Write(b)
}
