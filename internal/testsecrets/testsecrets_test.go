package testsecrets

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// lines returns the lines of the one file that matches pattern in dir.
func lines(t *testing.T, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != 1 {
		t.Fatalf("%d files match %s, want one", len(names), pattern)
	}
	data, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

func TestRecord(t *testing.T) {
	dir := t.TempDir()
	r := newRecorder(dir)
	long, longer := bytes.Repeat([]byte{0xab}, 16), bytes.Repeat([]byte{0xcd}, 48)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				r.record([][]byte{long, longer[:15], longer})
			}
		})
	}
	wg.Wait()
	got := lines(t, dir, "secrets/*.txt")
	count := make(map[string]int)
	for _, l := range got {
		count[l]++
	}
	if len(count) != 2 || count[hex.EncodeToString(long)] != 800 || count[hex.EncodeToString(longer)] != 800 {
		t.Errorf("%d lines, %d different; want 1600 and two", len(got), len(count))
	}
	info, err := os.Stat(filepath.Join(dir, fmt.Sprintf("secrets/%d.txt", os.Getpid())))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode().Perm())
	}
}

// TestEnvironment is the only test that uses the process's own recorder, which
// reads the environment once.
func TestEnvironment(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HALFSHAKE_RUN_DIR", dir)
	Record(bytes.Repeat([]byte{1}, 16))
	fmt.Fprintf(KeyLog(), "CLIENT_RANDOM %064x %064x\n", 1, 2)
	fmt.Fprintln(LogWriter(), "logged")
	if got := lines(t, dir, "secrets/*.txt"); len(got) != 2 {
		t.Errorf("recorded %q, want two values", got)
	}
	if got := lines(t, dir, "logs/*.log"); got[0] != "logged" {
		t.Errorf("logged %q", got)
	}
}

func TestRecordPanicsWhenItCannotWrite(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	secret := bytes.Repeat([]byte{0xab}, 16)
	defer func() {
		r := recover()
		if r == nil {
			t.Error("a value was lost in silence")
		}
		if strings.Contains(fmt.Sprint(r), hex.EncodeToString(secret)) {
			t.Error("the panic shows the value")
		}
	}()
	newRecorder(blocked).record([][]byte{secret})
}

func TestOff(t *testing.T) {
	r := newRecorder("")
	r.record([][]byte{make([]byte, 32)})
	if w := r.logWriter(); w != io.Discard {
		t.Errorf("a log writer %T without a run folder", w)
	}
	if n, err := fmt.Fprintf(keyLog{r}, "CLIENT_RANDOM %064x %096x\n", 1, 2); n == 0 || err != nil {
		t.Errorf("key log: %d, %v", n, err)
	}
}

func TestLogWriter(t *testing.T) {
	dir := t.TempDir()
	r := newRecorder(dir)
	fmt.Fprintln(r.logWriter(), "first")
	// Another process may have had this one's number before.
	fmt.Fprintln(newRecorder(dir).logWriter(), "second")
	if got := lines(t, dir, "logs/*.log"); len(got) != 2 || got[0] != "first" || got[1] != "second" {
		t.Errorf("got %q", got)
	}
}

func TestKeyLogLines(t *testing.T) {
	dir := t.TempDir()
	k := keyLog{newRecorder(dir)}
	text := fmt.Sprintf("# a comment\n\nCLIENT_RANDOM %064x %096x\nEXPORTER_SECRET %064x %064x\n", 1, 2, 1, 3)
	if n, err := io.WriteString(k, text); n != len(text) || err != nil {
		t.Fatal(n, err)
	}
	got := lines(t, dir, "secrets/*.txt")
	if len(got) != 2 || got[0] != fmt.Sprintf("%096x", 2) || got[1] != fmt.Sprintf("%064x", 3) {
		t.Errorf("recorded %q", got)
	}
	for _, bad := range []string{"CLIENT_RANDOM 00\n", "A 00 0g\n", "A 00 11 22\n"} {
		if _, err := io.WriteString(k, bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// TestKeyLogOfHandshake records the secrets of real handshakes.
func TestKeyLogOfHandshake(t *testing.T) {
	for version, want := range map[uint16]int{
		tls.VersionTLS12: 1, // the master secret
		tls.VersionTLS13: 4, // handshake and first application traffic, both ways
	} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			dir := t.TempDir()
			handshake(t, version, keyLog{newRecorder(dir)})
			got := lines(t, dir, "secrets/*.txt")
			if len(got) != want {
				t.Errorf("%d secrets recorded, want %d", len(got), want)
			}
		})
	}
}

func handshake(t *testing.T, version uint16, log io.Writer) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{"test"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	clientSide, serverSide := net.Pipe()
	defer clientSide.Close()
	defer serverSide.Close()
	server := tls.Server(serverSide, &tls.Config{
		Certificates:           []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}},
		KeyLogWriter:           log,
		MaxVersion:             version,
		SessionTicketsDisabled: true, // a ticket would wait for a reader
	})
	client := tls.Client(clientSide, &tls.Config{RootCAs: roots, ServerName: "test"})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
