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
	"runtime"
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

func compiler() string {
	if cc := os.Getenv("CC"); cc != "" {
		return cc
	}
	return "gcc"
}

// newRunner builds the program, with definitions for the preprocessor, or returns a sentence that says why that is impossible.
func newRunner(t *testing.T, definitions ...string) (r runner, missing string) {
	t.Helper()
	cc := compiler()
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
	r.build(t, cc, definitions...)
	out, err := exec.Command(r.path, "version").Output()
	if err != nil {
		t.Fatal(err)
	}
	r.version = strings.TrimSpace(string(out))
	writeCertificates(t, dir)
	return r, ""
}

// build compiles the program.
func (r runner) build(t *testing.T, cc string, definitions ...string) {
	t.Helper()
	sources, err := filepath.Glob("testdata/libssl/*.c")
	if err != nil || len(sources) == 0 {
		t.Fatalf("no C sources: %v", err)
	}
	// -rdynamic: libssl must find the program's clock before the C library's.
	args := append([]string{"-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-Wno-deprecated-declarations",
		"-rdynamic", "-o", r.path}, definitions...)
	args = append(append(args, sources...), "-lssl", "-lcrypto")
	if out, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cc, err, out)
	}
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

// A job is one scenario with one protocol.
type job struct {
	scenario *Scenario
	protocol string
}

// recordAll records every scenario with each of its protocols.
func (r runner) recordAll(t *testing.T, scenarios []*Scenario) map[string]File {
	t.Helper()
	shares := make([][]job, runtime.NumCPU())
	files, n := make(map[string]File), 0
	for _, s := range scenarios {
		files[s.Name] = make(File)
		for _, protocol := range s.Protocols {
			shares[n%len(shares)] = append(shares[n%len(shares)], job{s, protocol})
			n++
		}
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, share := range shares {
		wg.Go(func() {
			recordings, err := r.run(share)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for i, recording := range recordings {
				files[share[i].scenario.Name][share[i].protocol] = recording
			}
		})
	}
	wg.Wait()
	return files
}

// run runs one process for a list of jobs. If it fails, the error has the output of the
// job that made it fail.
func (r runner) run(jobs []job) ([]Recording, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var commands, stderr bytes.Buffer
	for _, j := range jobs {
		fmt.Fprintf(&commands, "begin %s %d\n", j.protocol, len(j.scenario.Steps))
		for _, step := range j.scenario.Steps {
			fmt.Fprintln(&commands, step)
		}
	}
	cmd := exec.CommandContext(ctx, r.path, r.certificates, strconv.FormatInt(time.Now().Unix(), 10))
	cmd.Stdin, cmd.Stderr = &commands, &stderr
	out, err := cmd.Output()
	texts := strings.Split("\n"+string(out), "\nbegin\n")[1:]
	if err != nil || len(texts) != len(jobs) {
		if len(texts) == 0 {
			return nil, fmt.Errorf("the runner of libssl: %w\n%s", err, &stderr)
		}
		at, last := jobs[len(texts)-1], texts[len(texts)-1]
		return nil, fmt.Errorf("%s, %s: %w after\n%s\n%s", at.scenario.Name, at.protocol, err, last, &stderr)
	}
	var all []Recording
	for i, text := range texts {
		recording, err := ParseRecording(strings.TrimSuffix(text, "\n") + "\n")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", jobs[i].scenario.Name, err)
		}
		all = append(all, recording)
	}
	return all, nil
}
