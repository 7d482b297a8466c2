package tls12

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testsecrets"
)

// This file has what the tests share: certificates, connections, and comparisons of what
// both sides agreed on.

// limit is how long a connection of a test may take.
const limit = 20 * time.Second

var keyKinds = map[string]func() (crypto.Signer, error){
	"ecdsa-p256": func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
	"ecdsa-p384": func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) },
	"ecdsa-p521": func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P521(), rand.Reader) },
	"rsa-2048":   func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
	"ed25519": func() (crypto.Signer, error) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	},
}

// An identity is a self-signed certificate for either side, and a pool that trusts it.
type identity struct {
	certificate tls.Certificate
	pool        *x509.CertPool
}

var identities sync.Map // of func() identity, by kind

// certificateOf returns a certificate with a kind of key, always the same during a run. A
// suffix after a slash asks for another one.
func certificateOf(t testing.TB, kind string) identity {
	t.Helper()
	once, _ := identities.LoadOrStore(kind, sync.OnceValues(func() (identity, error) { return newIdentity(kind) }))
	id, err := once.(func() (identity, error))()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func newIdentity(kind string) (identity, error) {
	name, _, _ := bytes.Cut([]byte(kind), []byte("/"))
	key, err := keyKinds[string(name)]()
	if err != nil {
		return identity{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(kind))),
		Subject:      pkix.Name{CommonName: kind},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{"localhost", "other.test"},
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return identity{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return identity{}, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return identity{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool}, nil
}

// serverConfig and clientConfig work with each other.
func serverConfig(t testing.TB) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{certificateOf(t, "ecdsa-p256").certificate},
		MaxVersion:   tls.VersionTLS12,
		KeyLogWriter: testsecrets.KeyLog(),
	}
}

func clientConfig(t testing.TB) *tls.Config {
	return &tls.Config{
		RootCAs:    certificateOf(t, "ecdsa-p256").pool,
		ServerName: "localhost",
		MaxVersion: tls.VersionTLS12,
	}
}

// tcpPair returns the two ends of a connection over loopback.
func tcpPair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if client, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	for _, one := range []net.Conn{client, server} {
		one.SetDeadline(time.Now().Add(limit))
		t.Cleanup(func() { one.Close() })
	}
	return client, server
}

// An engine is one side of a connection, of this package or crypto/tls.
type engine interface {
	net.Conn
	Handshake() error
	HandshakeContext(context.Context) error
	ConnectionState() tls.ConnectionState
	CloseWrite() error
}

var (
	_ engine = (*Conn)(nil)
	_ engine = (*tls.Conn)(nil)
)

func newServer(t testing.TB, conn net.Conn, config *tls.Config, sessions Sessions) *Conn {
	t.Helper()
	c, err := Server(conn, config, sessions)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newClient(t testing.TB, conn net.Conn, config *tls.Config, s *Session) *Conn {
	t.Helper()
	c, err := Client(conn, config, s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// handshakes runs both sides. A side that fails closes its connection.
func handshakes(client, server engine) (clientErr, serverErr error) {
	done := make(chan error, 1)
	go func() { done <- handshakeOrClose(server) }()
	clientErr = handshakeOrClose(client)
	return clientErr, <-done
}

func handshakeOrClose(side engine) error {
	err := side.Handshake()
	if err != nil {
		if half, ok := below(side).(*net.TCPConn); ok {
			half.CloseWrite() // a reset could discard what was sent
		}
	}
	return err
}

func below(side engine) net.Conn {
	switch side := side.(type) {
	case *Conn:
		return side.NetConn()
	case *tls.Conn:
		return side.NetConn()
	}
	return nil
}

// export exports keying material from either engine.
func export(side engine, label string, context []byte) ([]byte, error) {
	if c, ok := side.(*Conn); ok {
		return c.ExportKeyingMaterial(label, context, 77)
	}
	state := side.ConnectionState()
	return state.ExportKeyingMaterial(label, context, 77)
}

// exchange sends text in both directions and closes both sides cleanly.
func exchange(t testing.TB, client, server engine, text []byte) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- echo(server) }()
	if err := converse(client, text); err != nil {
		t.Errorf("client: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("server: %v", err)
	}
}

func echo(side engine) error {
	if _, err := io.Copy(side, struct{ io.Reader }{side}); err != nil {
		return err
	}
	return side.Close()
}

func converse(side engine, text []byte) error {
	wrote := make(chan error, 1)
	go func() {
		_, err := side.Write(text)
		wrote <- errors.Join(err, side.CloseWrite())
	}()
	got, err := io.ReadAll(side)
	if err := errors.Join(err, <-wrote); err != nil {
		return err
	}
	if !bytes.Equal(got, text) {
		return fmt.Errorf("%d bytes came back, not the %d that were sent", len(got), len(text))
	}
	return side.Close()
}

// alertIn returns the alert in an error.
func alertIn(err error) (tls.AlertError, bool) {
	var ours tls.AlertError
	if errors.As(err, &ours) {
		return ours, true
	}
	// The type that crypto/tls uses is not exported, but its text tells the alert.
	var op *net.OpError
	if errors.As(err, &op) {
		for code := range 256 {
			if tls.AlertError(code).Error() == op.Err.Error() {
				return tls.AlertError(code), true
			}
		}
	}
	return 0, false
}

// wantAlert checks that err stands for an alert, sent ("local error") or received
// ("remote error").
func wantAlert(t testing.TB, err error, op string, alert tls.AlertError) {
	t.Helper()
	var opErr *net.OpError
	if !errors.As(err, &opErr) || opErr.Op != op {
		t.Errorf("the error is %v (%T), want a %s", err, err, op)
		return
	}
	if got, ok := alertIn(err); !ok || got != alert {
		t.Errorf("the error is %v, with the alert %v; want %v", err, got, alert)
	}
}

// writePEM writes a certificate and its key to files.
func writePEM(t testing.TB, certificate tls.Certificate) (certFile, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: certificate.Certificate[0]},
		keyFile:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}
