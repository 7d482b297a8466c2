package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake/tls12"
)

// These tests run the shim without BoringSSL: a peer of crypto/tls or tls12 acts as the
// runner.

// files writes a certificate that is valid for both sides, and its key.
func files(t *testing.T) (certFile, keyFile string, certificate tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{"test"},
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	certFile, keyFile = filepath.Join(t.TempDir(), "cert"), filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	return certFile, keyFile, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// play runs the shim and serves each connection that it dials.
func play(t *testing.T, serve func(net.Conn) error, args ...string) (status int, stderr string) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	served := make(chan error, 1)
	go func() {
		var failure error
		for {
			conn, err := l.Accept()
			if err != nil {
				served <- failure
				return
			}
			conn.SetDeadline(time.Now().Add(20 * time.Second))
			if err := greet(conn); err != nil {
				failure = err
			} else if err := serve(conn); err != nil {
				failure = err
			}
			conn.Close()
		}
	}()
	var out bytes.Buffer
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	status = shim(append([]string{"-port", port, "-shim-id", "513"}, args...), io.Discard, &out)
	l.Close()
	if err := <-served; err != nil && status == exitOK {
		t.Errorf("the peer: %v", err)
	}
	return status, out.String()
}

func greet(conn net.Conn) error {
	var id [8]byte
	if _, err := io.ReadFull(conn, id[:]); err != nil {
		return err
	}
	if got := binary.LittleEndian.Uint64(id[:]); got != 513 {
		return fmt.Errorf("the shim's id is %d", got)
	}
	return nil
}

// converse does the runner's part after the handshake.
func converse(conn io.ReadWriter) error {
	if _, err := conn.Write([]byte{0, 1, 0xfe}); err != nil {
		return err
	}
	var answer [3]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return err
	}
	if answer != [3]byte{0xff, 0xfe, 1} {
		return fmt.Errorf("the shim answers %x", answer)
	}
	return nil
}

func TestShimAsServer(t *testing.T) {
	certFile, keyFile, _ := files(t)
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "test", NextProtos: []string{"foo", "bar"}}
	var session *tls12.Session
	byID := func(conn net.Conn) error {
		c, err := tls12.Client(conn, config, session)
		if err != nil {
			return err
		}
		if session = c.Session(); session == nil {
			return fmt.Errorf("no session: %w", c.Handshake())
		}
		defer c.CloseWrite()
		return converse(c)
	}
	common := []string{"-server", "-cert-file", certFile, "-key-file", keyFile, "-select-alpn", "bar",
		"-expect-server-name", "test", "-expect-advertised-alpn", "\x03foo\x03bar", "-resume-count", "2"}
	for _, extra := range [][]string{nil, {"-async"}, {"-implicit-handshake"}, {"-check-close-notify"}, {"-expect-extended-master-secret"}} {
		session = nil
		if status, stderr := play(t, byID, append(common, extra...)...); status != exitOK {
			t.Errorf("with %q: status %d: %s", extra, status, stderr)
		}
	}
	for want, extra := range map[string][]string{
		"resumed is true": {"-on-resume-expect-session-miss"},
		"the suite is":    {"-expect-cipher", "1"},
		"the group is":    {"-expect-curve-id", "24"},
		"advertises":      {"-expect-advertised-alpn", "\x03foo"},
	} {
		session = nil
		status, stderr := play(t, byID, append(common, extra...)...)
		if status != exitBroken || !strings.Contains(stderr, want) {
			t.Errorf("with %q: status %d: %s", extra, status, stderr)
		}
	}
}

func TestShimAsClient(t *testing.T) {
	certFile, _, certificate := files(t)
	certificate.OCSPStaple, certificate.SignedCertificateTimestamps = []byte("staple"), [][]byte{[]byte("sct")}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, MaxVersion: tls.VersionTLS12}
	store := new(sessions)
	byID := func(conn net.Conn) error {
		c, err := tls12.Server(conn, config, store)
		if err != nil {
			return err
		}
		defer c.CloseWrite()
		return converse(c)
	}
	std := func(conn net.Conn) error {
		c := tls.Server(conn, config)
		defer c.CloseWrite()
		return converse(c)
	}
	wrong := func(conn net.Conn) error {
		_, err := conn.Write([]byte{21, 3, 3, 0, 2, 2, 40})
		return err
	}
	scheme := strconv.Itoa(int(tls.ECDSAWithP256AndSHA256))
	for _, test := range []struct {
		serve  func(net.Conn) error
		args   []string
		status int
		stderr string
	}{
		{byID, []string{"-resume-count", "1"}, exitOK, ""},
		{byID, []string{"-verify-peer", "-trust-cert", certFile, "-expect-peer-cert-file", certFile}, exitOK, ""},
		{byID, []string{"-expect-ocsp-response", "c3RhcGxl", "-expect-signed-cert-timestamps", "AAUAA3NjdA==", "-async"}, exitOK, ""},
		{byID, []string{"-expect-peer-signature-algorithm", scheme, "-expect-secure-renegotiation"}, exitOK, ""},
		{byID, []string{"-check-close-notify"}, exitOK, ""},
		{byID, []string{"-verify-peer", "-verify-fail"}, exitFailed, "alert 42: local error: the shim's verification fails"},
		{byID, []string{"-expect-peer-signature-algorithm", "2052"}, exitBroken, "scheme"},
		{byID, []string{"-expect-ocsp-response", "AAAA"}, exitBroken, "the staple"},
		{std, nil, exitOK, ""},
		{std, []string{"-resume-count", "1"}, exitBroken, "resumed is false"},
		{wrong, nil, exitFailed, "alert 40: remote error"},
	} {
		status, stderr := play(t, test.serve, test.args...)
		if status != test.status || !strings.Contains(stderr, test.stderr) {
			t.Errorf("with %q: status %d: %s", test.args, status, stderr)
		}
	}
}

// TestDeclined checks that the shim declines a test because of a flag, a value or a name
// before it dials, and that it records the reason.
func TestDeclined(t *testing.T) {
	skips := filepath.Join(t.TempDir(), "skips")
	for _, test := range []struct {
		name   string
		args   []string
		status int
		class  class
	}{
		{"A", []string{"-psk", "12345", "-dtls"}, exitUnimplemented, classDTLS},
		{"B", []string{"-expect-ticket-age-skew", "-60", "-no-tls1"}, exitUnimplemented, classTLS13},
		{"C", []string{"-on-resume-renegotiate-freely"}, exitUnimplemented, classRenego},
		{"D", []string{"-on-retry-expect-alpn", "foo"}, exitUnimplemented, classTLS13},
		{"E", []string{"-max-version", "770"}, exitUnimplemented, classTLS1},
		{"F", []string{"-cipher", "3DES"}, exitUnimplemented, classCBC},
		{"G", []string{"-verify-prefs", "513"}, exitUnimplemented, classBoring},
		{"Resume-Server-TLS13-TLS", nil, exitUnimplemented, classTLS13},
		{"SendV2ClientHello-TLS11", nil, exitUnimplemented, classTLS1},
		{"H", []string{"-no-such-flag"}, exitBroken, ""},
		{"I", []string{"-curves"}, exitBroken, ""},
		{"J", []string{"-curves", "x"}, exitBroken, ""},
		{"K", []string{"-cipher", "unknown"}, exitBroken, ""},
		{"VersionNegotiation-Client-TLS12-TLS13-TLS", []string{"-advertise-alpn", "\x09"}, exitBroken, ""}, // not declined
	} {
		args := append([]string{"-write-settings", "/tmp/" + test.name + "-", "-config", "bogo.json", "-skips", skips}, test.args...)
		var stderr bytes.Buffer
		if status := shim(args, io.Discard, &stderr); status != test.status {
			t.Errorf("%s: status %d: %s", test.name, status, &stderr)
		}
		r := new(report)
		must(t, r.readSkips(skips))
		if got := r.skips[test.name]; got.Class != test.class || (got.Class != "") != (got.Sentence != "") {
			t.Errorf("%s is recorded as %+v", test.name, got)
		}
	}
}

// TestPanicIsNoFailure checks that a crash does not count as the failure that a test wants.
func TestPanicIsNoFailure(t *testing.T) {
	flagKinds["-crash"] = flagKind{false, func(*options, string) error { panic("crash") }}
	defer delete(flagKinds, "-crash")
	var stderr bytes.Buffer
	if status := shim([]string{"-crash"}, io.Discard, &stderr); status != exitBroken || !strings.Contains(stderr.String(), "panic: crash") {
		t.Errorf("status %d: %s", status, &stderr)
	}
}

func TestHandshakerIsNot(t *testing.T) {
	var stdout bytes.Buffer
	if status := shim([]string{"-is-handshaker-supported"}, &stdout, io.Discard); status != exitOK || stdout.String() != "No\n" {
		t.Errorf("status %d: %q", status, &stdout)
	}
}

// TestTables checks that each flag has one meaning, and that each entry has a class and a
// sentence.
func TestTables(t *testing.T) {
	seen := make(map[string]bool)
	for _, row := range declinedTable {
		if row.class.rank() < 0 || row.sentence == "" {
			t.Errorf("the row %+v has no class or no sentence", row)
		}
		for _, name := range strings.Fields(row.flags) {
			if _, implemented := flagKinds[name]; implemented || seen[name] {
				t.Errorf("the flag %s has two meanings", name)
			}
			seen[name] = true
		}
	}
	c, err := readConfig("bogo.json")
	must(t, err)
	for code, texts := range c.ErrorMap {
		if len(texts) == 0 || slices.Contains(texts, "") {
			t.Errorf("%s would match every error: %q", code, texts)
		}
	}
	if c.Passed == 0 || len(c.Revision) != 40 {
		t.Errorf("the configuration is for %q and %d tests", c.Revision, c.Passed)
	}
}

func TestConfigRefused(t *testing.T) {
	for _, content := range []string{
		`{`,
		`{"DisabledTests": {"A": "a sentence without a class"}}`,
		`{"DisabledTests": {"A": "tickets: "}}`,
		`{"DisabledTests": {"[": "tickets: a pattern that is none"}}`,
	} {
		path := filepath.Join(t.TempDir(), "config")
		must(t, os.WriteFile(path, []byte(content), 0o600))
		if _, err := readConfig(path); err == nil {
			t.Errorf("%s is accepted", content)
		}
	}
}

func TestTimestampLists(t *testing.T) {
	for _, list := range []string{"", "\x00\x04\x00\x02ab", "\x00\x07\x00\x02ab\x00\x01c"} {
		all, err := splitTimestamps([]byte(list))
		if err != nil || string(joinTimestamps(all)) != list {
			t.Errorf("%q is split into %q and %v", list, all, err)
		}
	}
	for _, list := range []string{"\x00", "\x00\x05\x00\x02ab", "\x00\x04\x00\x03ab", "\x00\x01\x00"} {
		if _, err := splitTimestamps([]byte(list)); err == nil {
			t.Errorf("%q is split", list)
		}
	}
}

func TestReport(t *testing.T) {
	config := `{"Passed": 2, "DisabledTests": {"Old-*": "tickets: none", "Old-Run": "run: it runs", "Dead": "tickets: nothing"}}`
	results := `{"tests": {"A": {"actual": "PASS"}, "Old-Run": {"actual": "PASS"}, "B": {"actual": "SKIP"}, "Old-1": {"actual": "SKIP"}, "C": {"actual": "SKIP"}, "D": {"actual": "FAIL"}}}`
	skips := `{"test":"B","class":"DTLS","sentence":"no","by":"-dtls"}
{"test":"Old-1","class":"tickets","sentence":"none","by":"Old-*","pattern":true}
`
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	run := func(config, results, skips string, args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		status := reportMain(append([]string{"-config", write("config", config), "-results", write("results", results), "-skips", write("skips", skips)}, args...), &stdout, &stderr)
		return status, stdout.String(), stderr.String()
	}
	status, stdout, stderr := run(config, results, skips, "-v")
	for _, want := range []string{"6 tests", "2 passed", "1 failed", "3 skipped", "1   DTLS (1 by a flag, 0 by name)", "1   tickets (0 by a flag, 1 by name)", "Old-1: tickets: none (Old-*)"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the report does not say %q:\n%s", want, stdout)
		}
	}
	for _, want := range []string{"D failed", "C was skipped without a class", `"Dead"`} {
		if status == exitOK || !strings.Contains(stderr, want) {
			t.Errorf("status %d, and the faults have no %q:\n%s", status, want, stderr)
		}
	}
	if strings.Contains(stderr, "Old") {
		t.Errorf("a pattern that is used is called dead:\n%s", stderr)
	}
	good := strings.ReplaceAll(strings.ReplaceAll(results, `, "C": {"actual": "SKIP"}`, ""), `"FAIL"`, `"PASS"`)
	noDead := strings.ReplaceAll(config, `, "Dead": "tickets: nothing"`, "")
	if status, _, stderr := run(noDead, good, skips); status != exitOK {
		t.Errorf("status %d: %s", status, stderr)
	}
	fewer := strings.ReplaceAll(noDead, `"Passed": 2`, `"Passed": 4`)
	if status, _, stderr := run(fewer, good, skips); status == exitOK || !strings.Contains(stderr, "fewer than the 4") {
		t.Errorf("status %d: %s", status, stderr)
	}
	if status, _, stderr := run(fewer, good, skips, "-partial"); status != exitOK {
		t.Errorf("status %d: %s", status, stderr)
	}
}
