package sslsession

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestOpenSSLReadsEveryField has "openssl sess_id" read sessions and write them again: each
// field alone, and all that every release since 3.0 knows together.
func TestOpenSSLReadsEveryField(t *testing.T) {
	need(t, "openssl")
	s := full()
	s.PeerPublicKey, s.Unknown = nil, nil // OpenSSL 3.2, and no release yet
	for name, change := range map[string]func(*Session){
		"all":         func(*Session) {},
		"minimal":     func(s *Session) { *s = Session{Version: 0x0304, CipherSuite: 0x1301} },
		"negative":    func(s *Session) { s.VerifyResult = -1 },
		"large time":  func(s *Session) { s.Time = 1 << 40 },
		"empty texts": func(s *Session) { s.ServerName, s.PSKIdentity, s.ALPN = []byte{}, []byte{}, []byte{} },
	} {
		changed := *s
		change(&changed)
		der, err := changed.Marshal()
		must(t, err)
		if got := rewritten(t, der); name != "minimal" && !bytes.Equal(got, der) {
			t.Errorf("%s: openssl wrote\n%x, want\n%x", name, got, der)
		} else if _, err := ParseStrict(got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// rewritten returns what "openssl sess_id" makes of a session.
func rewritten(t *testing.T, der []byte) []byte {
	t.Helper()
	in, out := filepath.Join(t.TempDir(), "in"), filepath.Join(t.TempDir(), "out")
	must(t, os.WriteFile(in, der, 0o600))
	if said, err := exec.Command("openssl", "sess_id", "-inform", "DER", "-in", in, "-outform", "DER", "-out", out).CombinedOutput(); err != nil {
		t.Fatalf("openssl sess_id: %v: %s", err, said)
	}
	got, err := os.ReadFile(out)
	must(t, err)
	return got
}

// need skips the test if a program is missing. Under CI=true it fails the test instead.
func need(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not on PATH: make setup installs it", name)
	}
	t.Skipf("%s is not on PATH: make setup installs it", name)
}
