package inspect

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testpeer"
)

// TestShowsWhatOpenSSLShows compares the text view with that of "openssl sess_id -text",
// line by line. A line of OpenSSL's that has no counterpart here fails the test.
func TestShowsWhatOpenSSLShows(t *testing.T) {
	testpeer.Need(t, "openssl")
	der, err := full().Marshal()
	must(t, err)
	text := strings.Join(strings.Fields(textOf(t, read(t, der), time.Now())), " ")
	secrets := map[string]bool{"Session-ID": true, "Master-Key": true, "TLS session ticket": true}
	same := map[string]string{
		"Protocol": "protocol TLS 1.2", "Cipher": "cipher suite TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
		"Session-ID-ctx": `session id context 636f6e74657874 ("context")`, "PSK identity": "PSK identity identity",
		"PSK identity hint": "PSK identity hint hint", "SRP username": "SRP user user", "TLS session ticket lifetime hint": "ticket lifetime hint 3600 s",
		"Compression": "compression method 1", "Start Time": "made 2026-09-21T14:13:20Z", "Timeout": "timeout 7200 s",
		"Verify return code": "verify result 20 (unable to get local issuer certificate)", "Extended master secret": "extended master secret yes",
		"Max Early Data": "max early data 16384 bytes",
	}
	lines := 0
	for line := range strings.Lines(sessID(t, der)) {
		label, _, ok := strings.Cut(line, ":")
		label = strings.TrimSpace(label)
		if !ok || label == "SSL-Session" || strings.Contains(label, " - ") || secrets[label] {
			continue
		}
		lines++
		if want := same[label]; want == "" || !strings.Contains(text, want) {
			t.Errorf("OpenSSL says %q; %q is not here", strings.TrimSpace(line), want)
		}
	}
	if lines < 10 {
		t.Errorf("OpenSSL shows %d lines: this test sees too little", lines)
	}
}

// sessID returns what "openssl sess_id -text" says of a session.
func sessID(t *testing.T, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "session")
	must(t, os.WriteFile(path, der, 0o600))
	said, err := exec.Command("openssl", "sess_id", "-text", "-noout", "-inform", "DER", "-in", path).Output()
	must(t, err)
	return string(said)
}

// TestVerifyMeanings compares the meanings of verify results with OpenSSL's.
func TestVerifyMeanings(t *testing.T) {
	testpeer.Need(t, "openssl")
	for _, result := range []int32{0, 1, 2, 9, 10, 18, 19, 20, 21, 23, 26, 47, 62, 65, 78, 94} {
		ssl := full()
		ssl.VerifyResult = result
		der, err := ssl.Marshal()
		must(t, err)
		want := fmt.Sprintf("Verify return code: %d (%s)", result, verifyMeaning(result))
		if said := sessID(t, der); !strings.Contains(said, want) {
			t.Errorf("OpenSSL does not say %q", want)
		}
	}
	for _, result := range []int32{-1, 95, 1 << 30} {
		if got := verifyMeaning(result); got != "unknown certificate verification error" {
			t.Errorf("%d: %s", result, got)
		}
	}
}

// TestSuiteNames compares the names of cipher suites with OpenSSL's.
func TestSuiteNames(t *testing.T) {
	testpeer.Need(t, "openssl")
	said, err := exec.Command("openssl", "ciphers", "-V", "-stdname", "ALL:COMPLEMENTOFALL:@SECLEVEL=0").Output()
	must(t, err)
	seen := 0
	for line := range strings.Lines(string(said)) {
		var high, low uint16
		var name string
		if _, err := fmt.Sscanf(strings.TrimSpace(line), "0x%x,0x%x - %s", &high, &low, &name); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		seen++
		if got := suiteName(high<<8 | low); got != name {
			t.Errorf("%#02x%02x is %s here and %s in OpenSSL", high, low, got, name)
		}
	}
	if seen < 50 {
		t.Errorf("OpenSSL has %d suites: this test sees too little", seen)
	}
}

// TestNames checks names that no other program is asked for.
func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		protocolName(0x0304): "TLS 1.3", protocolName(0x0300): "SSLv3", protocolName(0xfefd): "DTLS 1.2", protocolName(0xfeff): "DTLS 1.0",
		suiteName(0x1301): "TLS_AES_128_GCM_SHA256", suiteName(0xfffe): "0xFFFE",
		groupName(23): "secp256r1", groupName(4588): "X25519MLKEM768", groupName(0xfffe): "0xfffe",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
