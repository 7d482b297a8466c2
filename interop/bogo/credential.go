package main

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// A credential is a certificate of the shim, as the flags describe it.
type credential struct {
	certFile, keyFile string
	ocsp, timestamps  string
	schemes           []uint16
}

// load reads the files. It does not parse the certificates, since some tests send
// garbage. used is called when the key signs.
func (c *credential) load(used func()) (*tls.Certificate, error) {
	if c.certFile == "" {
		return nil, nil
	}
	certificate := &tls.Certificate{OCSPStaple: []byte(c.ocsp)}
	var err error
	if certificate.Certificate, err = readPEM(c.certFile, "CERTIFICATE"); err != nil {
		return nil, err
	}
	key, err := readKey(c.keyFile)
	if err != nil {
		return nil, err
	}
	certificate.PrivateKey = &signer{key, used}
	for _, scheme := range c.schemes {
		certificate.SupportedSignatureAlgorithms = append(certificate.SupportedSignatureAlgorithms, tls.SignatureScheme(scheme))
	}
	certificate.SignedCertificateTimestamps, err = splitTimestamps([]byte(c.timestamps))
	return certificate, err
}

// A signer calls a function when its key is used.
type signer struct {
	crypto.Signer
	used func()
}

func (s *signer) Sign(rand io.Reader, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	s.used()
	return s.Signer.Sign(rand, digest, options)
}

func readPEM(path, kind string) (all [][]byte, err error) {
	rest, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == kind {
			all = append(all, block.Bytes)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no %s in it", path, kind)
	}
	return all, nil
}

func readKey(path string) (crypto.Signer, error) {
	blocks, err := readPEM(path, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(blocks[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: a key of type %T", path, key)
	}
	return signer, nil
}

// readPool reads the trusted certificates. The pool is empty if there is no file, or no
// certificate that can be parsed.
func readPool(path string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if path == "" {
		return pool, nil
	}
	data, err := os.ReadFile(path)
	pool.AppendCertsFromPEM(data)
	return pool, err
}

// authorities returns a pool that has only the names of authorities, not their certificates.
func authorities(list string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if strings.HasPrefix(list, "<") {
		return pool, nil // <NULL> or <EMPTY>
	}
	for one := range strings.SplitSeq(list, ",") {
		name, err := hex.DecodeString(one)
		if err != nil {
			return nil, fmt.Errorf("the list of authorities %q: %w", list, err)
		}
		pool.AddCert(&x509.Certificate{Raw: name, RawSubject: name})
	}
	return pool, nil
}

var errTimestamps = errors.New("the list of signed certificate timestamps is malformed")

// splitTimestamps splits a SignedCertificateTimestampList (RFC 6962, section 3.3).
func splitTimestamps(list []byte) (all [][]byte, err error) {
	if len(list) == 0 {
		return nil, nil
	}
	if len(list) < 2 || int(binary.BigEndian.Uint16(list)) != len(list)-2 {
		return nil, errTimestamps
	}
	for list = list[2:]; len(list) > 0; {
		if len(list) < 2 || len(list)-2 < int(binary.BigEndian.Uint16(list)) {
			return nil, errTimestamps
		}
		n := 2 + int(binary.BigEndian.Uint16(list))
		all = append(all, list[2:n])
		list = list[n:]
	}
	return all, nil
}

// joinTimestamps is the inverse of splitTimestamps.
func joinTimestamps(all [][]byte) []byte {
	if len(all) == 0 {
		return nil
	}
	var list []byte
	for _, one := range all {
		list = append(binary.BigEndian.AppendUint16(list, uint16(len(one))), one...)
	}
	return slices.Concat(binary.BigEndian.AppendUint16(nil, uint16(len(list))), list)
}
