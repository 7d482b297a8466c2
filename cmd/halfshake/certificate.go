package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
)

// loadCertificate returns the certificate of --cert and --key, or the self-signed one.
func (t *tlsFiles) loadCertificate() (tls.Certificate, error) {
	f := t.flags
	if f.Cert == "" && f.Key == "" {
		dir, err := makeStateDir(f.StateDir)
		if err != nil {
			return tls.Certificate{}, err
		}
		return selfMade{dir: dir, log: t.log}.load()
	}
	cert, err := readFile("--cert", f.Cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := readFile("--key", f.Key)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("--cert %s and --key %s: %w", f.Cert, f.Key, pairError(cert, key, err))
	}
	return pair, nil
}

// pairError says what is wrong with a pair that crypto/tls refused.
func pairError(cert, key []byte, err error) error {
	switch {
	case !hasBlock(cert, "CERTIFICATE") && hasBlock(key, "CERTIFICATE"):
		return errors.New("the certificate is in the second file; swap them")
	case !hasBlock(cert, "CERTIFICATE"):
		return errors.New("the first file has no PEM certificate; give the file that begins with BEGIN CERTIFICATE")
	case !hasBlock(key, "PRIVATE KEY"):
		return errors.New("the second file has no PEM private key; give the file that has BEGIN PRIVATE KEY")
	case bytes.Contains(key, []byte("ENCRYPTED")):
		return errors.New("the private key is encrypted; give it without a passphrase (openssl pkey -in FILE -out FILE)")
	}
	return fmt.Errorf("%w; give the key that the certificate was made for", err)
}

// hasBlock reports whether data has a PEM block of a type that ends in kind.
func hasBlock(data []byte, kind string) bool {
	return bytes.Contains(data, []byte(kind+"-----"))
}
