package halfshake

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testca"
)

// A client whose revocation lives in VerifyPeerCertificate resumes no more, and its
// full handshake is refused; two configurations that differ only in it share sessions,
// and each asks its own.
func TestVerifyPeerCertificateIsARung(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		c := newCache(t, Config{Scope: "test"})
		revoked, calls := false, 0
		config := verifying()
		config.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
			calls++
			if len(raw) != 2 || len(chains) != 1 || len(chains[0]) != 3 || string(raw[0]) != string(chains[0][0].Raw) || chains[0][2].Subject.CommonName != "client root" {
				t.Errorf("asked with %d certificates and %d chains", len(raw), len(chains))
			}
			if revoked {
				return errors.New("revoked")
			}
			return nil
		}
		open, cl := d.open(t, c, config), newClient(version).withCert(clientCert)
		connectOK(t, open, cl)
		if !connectOK(t, open, cl).resumed || calls != 2 {
			t.Errorf("not resumed, or asked %d times", calls)
		}
		lax := d.open(t, c, verifying())
		if !connectOK(t, lax, cl).resumed {
			t.Error("a configuration that asks nothing shares the session")
		}
		revoked = true
		if o := connect(t, open, cl); o.resumed || o.serverErr == nil {
			t.Errorf("a revoked client was served: resumed %v, %v", o.resumed, o.serverErr)
		}
		if n := c.Stats().Refused[RefusedVerifyPeerCertificate]; n != 1 {
			t.Errorf("%d refusals", n)
		}
	})
}

// VerifyPeerCertificate is asked about a client without a certificate too, as in a
// full handshake; a panic in it is a refusal; SkipVerifyPeerCertificate leaves it out.
func TestVerifyPeerCertificateWithoutCertificate(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		for _, skip := range []bool{false, true} {
			c := newCache(t, Config{Scope: "test", SkipVerifyPeerCertificate: skip})
			calls, panics := 0, false
			config := verifying()
			config.ClientAuth = tls.VerifyClientCertIfGiven
			config.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
				if calls++; len(raw) != 0 || len(chains) != 0 {
					t.Error("asked about a certificate that was not sent")
				}
				if panics {
					panics = false
					panic("no database")
				}
				return nil
			}
			open, cl := d.open(t, c, config), newClient(version)
			connectOK(t, open, cl)
			want := map[bool]int{false: calls + 1, true: calls}[skip]
			if !connectOK(t, open, cl).resumed || calls != want {
				t.Errorf("skip %v: not resumed, or asked %d times, want %d", skip, calls, want)
			}
			panics = true
			if resumed := connectOK(t, open, cl).resumed; resumed != skip {
				t.Errorf("skip %v: resumed %v while it panics", skip, resumed)
			}
		}
	})
}

// A constraint on a root is seen on resumption with ReverifyChains, and without it only
// in a full handshake: crypto/tls looks for the chain's last certificate alone.
func TestReverifyChains(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		for _, reverify := range []bool{false, true} {
			c := newCache(t, Config{Scope: "test", ReverifyChains: reverify})
			refuse := false
			config := verifying()
			config.ClientCAs = x509.NewCertPool()
			config.ClientCAs.AddCertWithConstraint(clientRoot.Cert, func([]*x509.Certificate) error {
				if refuse {
					return errors.New("this root is no longer good for that client")
				}
				return nil
			})
			open, cl := d.open(t, c, config), newClient(version).withCert(clientCert)
			connectOK(t, open, cl)
			if !connectOK(t, open, cl).resumed {
				t.Error("not resumed")
			}
			refuse = true
			o := connect(t, open, cl)
			if reverify && (o.resumed || o.serverErr == nil) {
				t.Error("resumed against the constraint")
			}
		}
	})
}

// With the roots of the system, the chain's last certificate must be one of them: it
// may not vouch for itself as an intermediate.
func TestSystemRootsMustHoldTheRoot(t *testing.T) {
	root := testca.Root("no root of the system", testca.ECDSA)
	leaf := root.Client("alice", time.Now().Add(time.Hour))
	c := newCache(t, Config{Scope: "test"})
	config := verifying()
	config.ClientCAs = root.Pool()
	cl := newClient(tls.VersionTLS13).withCert(leaf)
	made := madeThrough(t, c, viaServer.open(t, c, config), cl)
	today := verifying()
	today.ClientCAs = nil
	f := &found{Session: made}
	if got := c.refuse(proposing(c, policyWith(today, "test", ""), made, "a.example"), f); got != RefusedUntrusted {
		t.Errorf("%v", got)
	}
}

// An authority that ClientCAs held, and that a root of the system has certified, is not
// taken from the stored chain: the client did not send it, so a full handshake would not
// find it either.
func TestSystemRootsVerifyWhatTheClientSent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs a system whose roots SSL_CERT_FILE replaces: Linux")
	}
	if os.Getenv("HALFSHAKE_SYSTEM_ROOTS") == "" { // the roots are read once in a process
		test := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		test.Env = append(os.Environ(), "HALFSHAKE_SYSTEM_ROOTS=1", "SSL_CERT_DIR="+t.TempDir(), "SSL_CERT_FILE="+filepath.Join(t.TempDir(), "roots.pem"))
		if out, err := test.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	system := testca.Root("root of the system", testca.ECDSA)
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: system.Cert.Raw})
	if err := os.WriteFile(os.Getenv("SSL_CERT_FILE"), block, 0o600); err != nil {
		t.Fatal(err)
	}
	certified := system.Intermediate("certified by it")
	leaf := certified.Client("alice", time.Now().Add(time.Hour))
	sent := leaf
	sent.Certificate = leaf.Certificate[:1]
	for _, test := range []struct {
		name  string
		roots *x509.CertPool // when the session was made
		cert  tls.Certificate
		want  Refusal
	}{{"the system's roots", nil, leaf, 0}, {"an authority that was not sent", certified.Pool(), sent, RefusedUntrusted}} {
		c := newCache(t, Config{Scope: "test"})
		config := verifying()
		config.ClientCAs = test.roots
		made := madeThrough(t, c, viaServer.open(t, c, config), newClient(tls.VersionTLS13).withCert(test.cert))
		today := verifying()
		today.ClientCAs = nil
		if got := c.refuse(proposing(c, policyWith(today, "test", ""), made, "a.example"), &found{Session: made}); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// A session does not outlive the certificate that the server proved itself with, nor do
// those that descend from it, which prove nothing of a renewed one.
func TestSessionEndsWithTheServersCertificate(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		clk := newClock()
		c := newCache(t, Config{Timeout: time.Hour, Time: clk.Now})
		config := serverConfig()
		config.Certificates = []tls.Certificate{serverCA.ServerUntil(time.Now().Add(10*time.Minute), "a.example")}
		open, cl := d.open(t, c, config), newClient(version)
		connectOK(t, open, cl)
		renewed := d.open(t, c, serverConfig())
		clk.Advance(9 * time.Minute)
		for _, open := range []opener{open, renewed} {
			if !connectOK(t, open, cl).resumed {
				t.Error("not resumed while the certificate is valid")
			}
		}
		clk.Advance(2 * time.Minute)
		if connectOK(t, renewed, cl).resumed {
			t.Error("resumed after the certificate's end")
		}
	})
}
