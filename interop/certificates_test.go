package interop

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testca"
)

const serverName = "halfshake.test"

var kinds = []testca.Kind{testca.ECDSA, testca.RSA}

// authority is a root certificate and an intermediate that issues certificates.
type authority struct {
	root, issuer *testca.CA
}

func newAuthority(name string, kind testca.Kind) authority {
	root := testca.Root(name, kind)
	return authority{root, root.Intermediate(name + " intermediate")}
}

func (a authority) server() tls.Certificate { return a.issuer.Server(serverName) }
func (a authority) client() tls.Certificate {
	return a.issuer.Client("client", time.Now().Add(time.Hour))
}

// writeRoot writes the root as a PEM file in one of the test's directories.
func (a authority) writeRoot(t *testing.T) string {
	t.Helper()
	return writePEM(t, filepath.Join(t.TempDir(), "root.pem"), "CERTIFICATE", a.root.Cert.Raw)
}

// files names the PEM files of a certificate.
type files struct {
	chain        string // the leaf and the intermediate
	intermediate string
	key          string
}

// writeFiles writes a certificate as PEM files in one of the test's directories.
func writeFiles(t *testing.T, certificate tls.Certificate) files {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return files{
		chain:        writePEM(t, filepath.Join(dir, "chain.pem"), "CERTIFICATE", certificate.Certificate...),
		intermediate: writePEM(t, filepath.Join(dir, "intermediate.pem"), "CERTIFICATE", certificate.Certificate[1:]...),
		key:          writePEM(t, filepath.Join(dir, "key.pem"), "PRIVATE KEY", key),
	}
}

// writePEM writes a file with one block for each element of ders, and returns its name.
func writePEM(t *testing.T, name, kind string, ders ...[]byte) string {
	t.Helper()
	var text []byte
	for _, der := range ders {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// digest returns the digest by which /connection.json identifies a certificate.
func digest(certificate tls.Certificate) string {
	sum := sha256.Sum256(certificate.Leaf.Raw)
	return hex.EncodeToString(sum[:])
}
