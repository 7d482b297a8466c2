package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/halfshake/halfshake/internal/testca"
)

// prepare writes the server's certificates to dir and returns a client's, with a chain
// of two RSA-2048 certificates.
func prepare(dir string) (client tls.Certificate, err error) {
	root := testca.Root("bench client root", testca.RSA)
	client = root.Intermediate("bench client CA").Client("bench", time.Now().Add(24*time.Hour))
	return client, writeCertificates(dir, testca.Root("bench server CA", testca.ECDSA).Server(), root)
}

func writeCertificates(dir string, server tls.Certificate, clientRoot *testca.CA) error {
	key, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	if err != nil {
		return err
	}
	both := append(pemBlock("CERTIFICATE", server.Certificate[0]), pemBlock("PRIVATE KEY", key)...)
	return errors.Join(
		os.WriteFile(serverFile(dir), both, 0o600),
		os.WriteFile(clientCAFile(dir), pemBlock("CERTIFICATE", clientRoot.Cert.Raw), 0o600))
}

// serverFile holds the server's certificate and its key.
func serverFile(dir string) string { return dir + "/server.pem" }

func clientCAFile(dir string) string { return dir + "/client-ca.pem" }

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// serverConfig reads what writeCertificates wrote. A server with a client CA asks
// for a certificate whoever sends one.
func serverConfig(dir string) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(serverFile(dir), serverFile(dir))
	if err != nil {
		return nil, err
	}
	roots, err := pool(clientCAFile(dir))
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: roots}, nil
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
