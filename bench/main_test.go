package main

import (
	"crypto/tls"
	"os"
	"os/exec"
	"testing"
)

// TestMain lets the test binary be the servers too.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == childArg {
		if err := serveChild(os.Args[2], os.Args[3]); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// A short run of every comparison: all servers come up, and every connection that
// is to resume does.
func TestCompareRuns(t *testing.T) {
	for _, peer := range []string{"openssl", "nginx"} {
		if _, err := exec.LookPath(peer); err != nil && os.Getenv("CI") == "true" {
			t.Errorf("no %s on PATH (Debian package %[1]s): with CI=true that is a failure", peer)
		}
	}
	if err := compare(extent{runs: 1, handshakes: parallel}); err != nil {
		t.Fatal(err)
	}
}

// With a chain of two RSA certificates, a resuming ClientHello with crypto/tls's
// ticket is larger than one with a session id by more than the chain is.
func TestClientHelloIsSmaller(t *testing.T) {
	dir := t.TempDir()
	cert, err := prepare(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
		hello := map[string]int{}
		for _, kind := range []string{ticketKind, configKind} {
			c, err := start(kind, dir)
			if err != nil {
				t.Fatal(err)
			}
			cl := ticketClient{newConfig(version, &cert)}
			for range 2 {
				if _, hello[kind], err = visit(cl, c.addr); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.stop(); err != nil {
				t.Error(err)
			}
		}
		chain := len(cert.Certificate[0]) + len(cert.Certificate[1])
		ticket, id := hello[ticketKind], hello[configKind]
		t.Logf("%s: %d bytes with crypto/tls's ticket, %d with a session id", tls.VersionName(version), ticket, id)
		if ticket-id < chain {
			t.Errorf("%s: %d bytes with crypto/tls's ticket, %d with a session id; the chain has %d", tls.VersionName(version), ticket, id, chain)
		}
	}
}
