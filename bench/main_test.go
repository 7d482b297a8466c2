package main

import (
	"os"
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

// A short run of the comparison: every server comes up under every workload, and
// every connection but the first resumes.
func TestCompareRuns(t *testing.T) {
	if err := compare(1, 5); err != nil {
		t.Fatal(err)
	}
}

// With a chain of two RSA certificates, a resuming ClientHello with crypto/tls's
// ticket is larger than one with a session id by more than the chain is.
func TestClientHelloIsSmaller(t *testing.T) {
	dir := t.TempDir()
	workloads, roots, err := prepare(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range workloads {
		if w.cert == nil {
			continue
		}
		hello := map[string]int{}
		for _, kind := range []string{kinds[0], "ServerConfig"} {
			c, err := start(kind, dir)
			if err != nil {
				t.Fatal(err)
			}
			config := w.clientConfig(roots)
			for range 2 {
				if _, hello[kind], err = visit(c.addr, config); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.stop(); err != nil {
				t.Error(err)
			}
		}
		chain := len(w.cert.Certificate[0]) + len(w.cert.Certificate[1])
		ticket, id := hello[kinds[0]], hello["ServerConfig"]
		t.Logf("%s: %d bytes with crypto/tls's ticket, %d with a session id", w.name, ticket, id)
		if ticket-id < chain {
			t.Errorf("%s: %d bytes with crypto/tls's ticket, %d with a session id; the chain has %d", w.name, ticket, id, chain)
		}
	}
}
