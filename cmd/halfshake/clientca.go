package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
)

// A clientCA is the content of a --client-ca file.
type clientCA struct {
	pool   *x509.CertPool
	digest string // of the file's bytes
}

// loadClientCA reads every certificate in the file. It returns an error if one does not
// parse, and does not skip it.
func loadClientCA(path string) (clientCA, error) {
	data, err := readFile("--client-ca", path)
	if err != nil {
		return clientCA{}, err
	}
	digest := sha256.Sum256(data)
	ca := clientCA{pool: x509.NewCertPool(), digest: hex.EncodeToString(digest[:])}
	found := 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		found++
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return clientCA{}, fmt.Errorf("--client-ca %s: certificate %d in it does not parse (%w); remove or replace it", path, found, err)
		}
		ca.pool.AddCert(cert)
	}
	if found == 0 {
		return clientCA{}, fmt.Errorf("--client-ca %s: no certificate in it; give the PEM certificates of the authorities that sign the clients' certificates", path)
	}
	return ca, nil
}
