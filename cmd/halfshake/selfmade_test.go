package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSelfMadeNames verifies the certificate as a client does that trusts it.
func TestSelfMadeNames(t *testing.T) {
	cert := loadSelfMade(t, t.TempDir(), &logBuffer{})
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		if _, err := cert.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if life := cert.Leaf.NotAfter.Sub(cert.Leaf.NotBefore); life > 398*24*time.Hour {
		t.Errorf("valid for %v", life)
	}
}

// TestSelfMadeByMany starts many at once: one makes the certificate, all use it.
func TestSelfMadeByMany(t *testing.T) {
	const many = 16
	dir := t.TempDir()
	var log logBuffer
	certs := make([]tls.Certificate, many)
	var wg sync.WaitGroup
	for i := range certs {
		wg.Go(func() { certs[i] = loadSelfMade(t, dir, &log) })
	}
	wg.Wait()
	for i := range certs {
		if !bytes.Equal(certs[i].Leaf.Raw, certs[0].Leaf.Raw) {
			t.Errorf("%d uses another certificate than 0", i)
		}
	}
	if n := strings.Count(log.String(), "made a self-signed certificate"); n != 1 {
		t.Errorf("made %d times", n)
	}
	if names := namesIn(t, dir); names != "localhost.pem localhost.pem.lock" {
		t.Errorf("the directory holds %s", names)
	}
}

// TestSelfMadeAgain: a certificate that ends soon, or has ended, is replaced.
func TestSelfMadeAgain(t *testing.T) {
	for _, c := range []struct {
		left     time.Duration
		replaced bool
	}{{-time.Hour, true}, {selfMadeRenew - time.Minute, true}, {selfMadeRenew + time.Minute, false}} {
		dir := t.TempDir()
		old, err := newSelfSigned(time.Now().Add(c.left - selfMadeLife))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "localhost.pem")
		if err := os.WriteFile(path, old, 0o600); err != nil {
			t.Fatal(err)
		}
		cert := loadSelfMade(t, dir, &logBuffer{})
		now, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if replaced := !bytes.Equal(now, old); replaced != c.replaced {
			t.Errorf("%v before its end: replaced: %v", c.left, replaced)
		}
		if time.Until(cert.Leaf.NotAfter) < selfMadeRenew {
			t.Errorf("%v before its end: still in use", c.left)
		}
	}
}

func loadSelfMade(t *testing.T, dir string, log *logBuffer) tls.Certificate {
	t.Helper()
	cert, err := selfMade{dir: dir, log: slog.New(slog.NewTextHandler(log, nil))}.load()
	if err != nil {
		t.Error(err)
	}
	return cert
}

func namesIn(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}
