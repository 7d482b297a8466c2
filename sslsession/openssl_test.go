package sslsession

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/halfshake/halfshake/internal/testpeer"
)

// known returns a session with all fields that every release since 3.0 knows.
func known() *Session {
	s := full()
	s.PeerPublicKey, s.Unknown = nil, nil // OpenSSL 3.2, and no release yet
	return s
}

// TestOpenSSLReadsEveryField has "openssl sess_id" read sessions and write them again: each
// field alone, all together, and values at their limits.
func TestOpenSSLReadsEveryField(t *testing.T) {
	testpeer.Need(t, "openssl")
	plain := func() *Session {
		return &Session{Version: 0x0304, CipherSuite: 0x1301, ID: []byte{}, MasterKey: []byte{}, IDContext: []byte{}, Time: 1000, Timeout: 300}
	}
	check := func(name string, s *Session) {
		t.Helper()
		der, err := s.Marshal()
		must(t, err)
		if got := rewritten(t, der); !bytes.Equal(got, der) {
			t.Errorf("%s: openssl wrote another session", name)
		}
	}
	check("all", known())
	all := reflect.ValueOf(known()).Elem()
	for i := range all.NumField() {
		if s := plain(); !all.Field(i).IsZero() {
			reflect.ValueOf(s).Elem().Field(i).Set(all.Field(i))
			check(all.Type().Field(i).Name, s)
		}
	}
	for name, change := range map[string]func(*Session){
		"negative": func(s *Session) { s.VerifyResult, s.Time, s.Timeout = -1<<31, -5, -1 },
		"large":    func(s *Session) { s.Time, s.Flags, s.Group, s.MaxEarlyData = 1<<40, 1<<32-1, 1<<31-1, 1<<32-1 },
		"longest":  func(s *Session) { s.MasterKey, s.IDContext = make([]byte, maxKey), make([]byte, maxID) },
		"empty": func(s *Session) {
			s.ServerName, s.PSKIdentity, s.ALPN, s.Ticket = []byte{}, []byte{}, []byte{}, []byte{}
		},
		"DTLS":         func(s *Session) { s.Version, s.CipherSuite = 0xfefd, 0xc02b },
		"DTLS1_BAD":    func(s *Session) { s.Version, s.CipherSuite = 0x0100, 0xc02b },
		"compression":  func(s *Session) { s.Compression = 255 },
		"unspecified":  func(s *Session) { s.MaxFragmentLength = 255 },
		"TLS 1.0, SHA": func(s *Session) { s.Version, s.CipherSuite = 0x0301, 0xc013 },
	} {
		s := plain()
		change(s)
		check(name, s)
	}
}

// TestOpenSSLPrintsEveryField checks that OpenSSL takes each field for the same one.
func TestOpenSSLPrintsEveryField(t *testing.T) {
	testpeer.Need(t, "openssl")
	s := known()
	later := known() // early data is printed in TLS 1.3 alone
	later.Version, later.CipherSuite = 0x0304, 0x1301
	lines := append(printed(t, s), printed(t, later)...)
	for _, want := range []string{
		"Protocol : TLSv1.2", "Cipher : ECDHE-ECDSA-AES128-GCM-SHA256", fmt.Sprintf("Session-ID: %X", s.ID), fmt.Sprintf("Session-ID-ctx: %X", s.IDContext),
		fmt.Sprintf("Master-Key: %X", s.MasterKey), "PSK identity: identity", "PSK identity hint: hint", "SRP username: user",
		"TLS session ticket lifetime hint: 4294967295 (seconds)", "TLS session ticket:", "Compression: 1", "Start Time: 1790000000",
		"Timeout : 7200 (sec)", "Verify return code: 20 (unable to get local issuer certificate)", "Extended master secret: yes", "Max Early Data: 16384",
	} {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, want) }) {
			t.Errorf("openssl does not print %q", strings.SplitAfter(want, ":")[0])
		}
	}
}

// printed returns the lines that "openssl sess_id -text" prints.
func printed(t *testing.T, s *Session) []string {
	t.Helper()
	der, err := s.Marshal()
	must(t, err)
	in := filepath.Join(t.TempDir(), "in")
	must(t, os.WriteFile(in, der, 0o600))
	text, err := exec.Command("openssl", "sess_id", "-inform", "DER", "-in", in, "-noout", "-text").Output()
	must(t, err)
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ")
	}
	return lines
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
