package main

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// Browsers take no certificate of more than 398 days.
const (
	selfMadeLife  = 397 * 24 * time.Hour
	selfMadeRenew = 30 * 24 * time.Hour
)

// selfMade is the self-signed certificate for localhost. It shares a file in the state
// directory with its key, so that one rename replaces both.
type selfMade struct {
	dir string
	log *slog.Logger
}

func (s selfMade) path() string { return filepath.Join(s.dir, "localhost.pem") }

// load returns the certificate. It makes one if the file does not exist or the
// certificate expires soon. If several processes find none, one makes it and the others
// wait.
func (s selfMade) load() (tls.Certificate, error) {
	cert, err := s.read()
	if !errors.Is(err, fs.ErrNotExist) {
		return cert, err
	}
	unlock, err := lockedfile.MutexAt(s.path() + ".lock").Lock()
	if err != nil {
		return tls.Certificate{}, stateDirError(s.dir, err)
	}
	defer unlock()
	cert, err = s.read()
	if !errors.Is(err, fs.ErrNotExist) {
		return cert, err
	}
	return s.make()
}

// read returns fs.ErrNotExist even for a certificate that exists but must be replaced.
func (s selfMade) read() (tls.Certificate, error) {
	data, info, err := readBounded(s.path())
	if errors.Is(err, fs.ErrNotExist) {
		return tls.Certificate{}, err
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("self-made certificate %s: %w", s.path(), readError(err))
	}
	cert, err := tls.X509KeyPair(data, data)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("self-made certificate %s: %w; delete the file to have a new one made", s.path(), err)
	}
	if err := cmp.Or(checkOwner(s.path(), info), checkMode(s.path(), info)); err != nil {
		return tls.Certificate{}, fmt.Errorf("self-made certificate %s: %w", s.path(), err)
	}
	if time.Until(cert.Leaf.NotAfter) < selfMadeRenew {
		return tls.Certificate{}, fs.ErrNotExist
	}
	return cert, nil
}

func (s selfMade) make() (tls.Certificate, error) {
	data, err := newSelfSigned(time.Now())
	if err != nil {
		return tls.Certificate{}, err
	}
	if err := writeFile(s.path(), data); err != nil {
		return tls.Certificate{}, stateDirError(s.dir, err)
	}
	cert, err := s.read()
	if err == nil {
		s.log.Info("made a self-signed certificate", "file", s.path(), "until", cert.Leaf.NotAfter)
	}
	return cert, err
}

// newSelfSigned returns a certificate and its key, PEM.
func newSelfSigned(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "localhost", Organization: []string{"made by halfshake serve"}},
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:             now.Add(-time.Hour), // for clients whose clock is behind
		NotAfter:              now.Add(selfMadeLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = errors.Join(pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: cert}), pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	return b.Bytes(), err
}
