package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/halfshake/halfshake/internal/testca"
)

// TestTrustID: a configuration, its clones, and what GetConfigForClient returns
// have the name of the file's content that they were made from, and keep it
// when the file changes.
func TestTrustID(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ca.pem")
	write := func(ca *testca.CA) {
		t.Helper()
		data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Cert.Raw})
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, b := testca.Root("a", testca.ECDSA), testca.Root("b", testca.ECDSA)
	write(a)
	files, err := newTLSFiles(&serveFlags{StateDir: dir, ClientCA: path}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	base := files.config()
	first := inForce(t, base)
	idOfA := files.trustID(first)
	if idOfA == "" || idOfA != files.trustID(base) || idOfA != files.trustID(base.Clone()) || idOfA != files.trustID(first.Clone()) {
		t.Errorf("names of one file's content: %q %q %q", idOfA, files.trustID(base), files.trustID(base.Clone()))
	}
	if base.ClientAuth != tls.RequireAndVerifyClientCert || base.ClientAuth != first.ClientAuth {
		t.Errorf("client authentication: %v and %v", base.ClientAuth, first.ClientAuth)
	}

	write(b)
	if err := files.load(); err != nil {
		t.Fatal(err)
	}
	if id := files.trustID(inForce(t, base)); id == "" || id == idOfA {
		t.Errorf("another content has the name %q", id)
	}
	if id := files.trustID(first); id != idOfA {
		t.Errorf("a configuration of before has the name %q now", id)
	}

	write(a)
	if err := files.load(); err != nil {
		t.Fatal(err)
	}
	if id := files.trustID(inForce(t, base)); id != idOfA {
		t.Errorf("the first content again has the name %q", id)
	}
	if files.trustID(&tls.Config{ClientCAs: x509.NewCertPool()}) != "" {
		t.Error("a configuration of others has a name")
	}
}

// inForce asks base for what a connection gets.
func inForce(t *testing.T, base *tls.Config) *tls.Config {
	t.Helper()
	config, err := base.GetConfigForClient(&tls.ClientHelloInfo{})
	if err != nil || config == nil {
		t.Fatalf("GetConfigForClient: %v, %v", config, err)
	}
	return config
}
