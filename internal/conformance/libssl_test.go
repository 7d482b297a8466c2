package conformance

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A runner is the C program of testdata/libssl.
type runner struct {
	path, certificates string
	version            string // of the libssl that it uses
}

// newRunner builds the program, or returns a sentence that says why that is impossible.
func newRunner(t *testing.T) (r runner, missing string) {
	t.Helper()
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "gcc"
	}
	if _, err := exec.LookPath(cc); err != nil {
		return r, "there is no C compiler"
	}
	probe := exec.Command(cc, "-E", "-")
	probe.Stdin = strings.NewReader("#include <openssl/ssl.h>\n")
	if probe.Run() != nil {
		return r, "the headers of libssl are missing (Debian package libssl-dev)"
	}
	dir := t.TempDir()
	r = runner{path: filepath.Join(dir, "runner"), certificates: dir}
	sources, err := filepath.Glob("testdata/libssl/*.c")
	if err != nil || len(sources) == 0 {
		t.Fatalf("no C sources: %v", err)
	}
	// -rdynamic: libssl must find the program's clock before the C library's.
	args := append([]string{"-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-Wno-deprecated-declarations",
		"-O1", "-rdynamic", "-o", r.path}, sources...)
	if out, err := exec.Command(cc, append(args, "-lssl", "-lcrypto")...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cc, err, out)
	}
	out, err := exec.Command(r.path, "version").Output()
	if err != nil {
		t.Fatal(err)
	}
	r.version = strings.TrimSpace(string(out))
	writeCertificates(t, dir)
	return r, ""
}

func writeCertificates(t *testing.T, dir string) {
	t.Helper()
	write := func(name, kind string, ders ...[]byte) {
		var b bytes.Buffer
		for _, der := range ders {
			pem.Encode(&b, &pem.Block{Type: kind, Bytes: der})
		}
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, cert := range map[string]tls.Certificate{"server": serverCert, "alice": aliceCert} {
		key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		write(name+".pem", "CERTIFICATE", cert.Certificate...)
		write(name+".key", "PRIVATE KEY", key)
	}
	write("clients.pem", "CERTIFICATE", clientCA.Cert.Raw)
	write("others.pem", "CERTIFICATE", otherCA.Cert.Raw)
}

// record runs a scenario against libssl with each of its protocols.
func (r runner) record(s *Scenario) (File, error) {
	f := make(File)
	for _, protocol := range s.Protocols {
		var err error
		if f[protocol], err = r.run(s, protocol); err != nil {
			return nil, fmt.Errorf("%s, %s: %w", s.Name, protocol, err)
		}
	}
	return f, nil
}

func (r runner) run(s *Scenario, protocol string) (Recording, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var commands, stderr bytes.Buffer
	for _, step := range s.Steps {
		fmt.Fprintln(&commands, step)
	}
	cmd := exec.CommandContext(ctx, r.path, protocol, r.certificates, strconv.FormatInt(time.Now().Unix(), 10))
	cmd.Stdin, cmd.Stderr = &commands, &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w after\n%s%s", err, out, &stderr)
	}
	return ParseRecording(string(out))
}

// recordAll records every scenario, several at a time.
func (r runner) recordAll(t *testing.T, scenarios []*Scenario) map[string]File {
	t.Helper()
	files := make(map[string]File)
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	for _, s := range scenarios {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f, err := r.record(s)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			files[s.Name] = f
		})
	}
	wg.Wait()
	return files
}
