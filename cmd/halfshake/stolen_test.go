package main

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testca"
)

// Whoever copies the store, the rest of the state directory and the log has none of
// the ids, secrets, certificates and names that passed through the server. The keys
// that lie beside them are what the theft is about: they are left out.
func TestStolenStateDirectory(t *testing.T) {
	dir, ca := t.TempDir(), testca.Root("the authority of the clients", testca.ECDSA)
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	server := serveProcess(t, "--state-dir", dir, "--client-ca", caFile, "--client-auth", "request", "--session-ids", "always")
	w := &witness{values: map[string][]byte{}}
	for i := range 40 {
		jar := newJar(tls.VersionTLS12 + uint16(i%2))
		jar.ServerName = "a-server-name-of-this-run.example"
		jar.ClientSessionCache = witnessedCache{jar.ClientSessionCache, w}
		jar.KeyLogWriter = io.MultiWriter(jar.KeyLogWriter, w)
		if i%4 < 2 {
			cert := ca.Client("alice-of-this-run", time.Now().Add(time.Hour))
			jar.Certificates = []tls.Certificate{cert}
			w.note("certificate", cert.Leaf.RawTBSCertificate[40:])
			w.note("public key", cert.Leaf.RawSubjectPublicKeyInfo[30:])
		}
		for range 2 {
			if _, err := visit(server.addr, jar); err != nil {
				t.Fatal(err)
			}
		}
	}
	server.terminate(t)
	w.note("server name", []byte("a-server-name-of-this-run"))
	w.note("client's name", []byte("alice-of-this-run"))

	loot := readTree(t, dir, "fleet.key", "localhost.pem")
	loot["the log"] = []byte(server.log.String())
	size := 0
	for _, data := range loot {
		size += len(data)
	}
	if len(w.values) < 200 || len(loot["sessions.db"]) < 40*256 {
		t.Fatalf("%d values and a store of %d bytes: this test shows nothing", len(w.values), len(loot["sessions.db"]))
	}
	for _, found := range w.search(loot) {
		t.Error(found)
	}
	t.Logf("%d values looked for in %d files of %d bytes", len(w.values), len(loot), size)

	// The search finds what is there.
	for name, value := range w.values {
		for _, form := range formsOf(value) {
			planted := map[string][]byte{"the log": append([]byte(server.log.String()), form...)}
			if len(w.search(planted)) == 0 {
				t.Fatalf("the search does not find %s in a log that has it", name)
			}
		}
		break
	}
}

// readTree reads the files below dir, but for those of the given names.
func readTree(t *testing.T, dir string, but ...string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(strings.Join(but, " "), d.Name()) {
			return err
		}
		files[path], err = os.ReadFile(filepath.Join(dir, path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A witness keeps what clients know and nobody else should.
type witness struct {
	mu     sync.Mutex
	values map[string][]byte // by what it is
}

func (w *witness) note(what string, value []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.values[what+" "+hex.EncodeToString(value[:min(4, len(value))])] = bytes.Clone(value)
}

// Write takes lines of a key log.
func (w *witness) Write(lines []byte) (int, error) {
	for line := range bytes.Lines(lines) {
		fields := bytes.Fields(line)
		if secret, err := hex.DecodeString(string(fields[len(fields)-1])); err == nil {
			w.note(string(fields[0]), secret)
		}
	}
	return len(lines), nil
}

// witnessedCache notes the ids of the sessions.
type witnessedCache struct {
	tls.ClientSessionCache
	witness *witness
}

func (c witnessedCache) Put(key string, s *tls.ClientSessionState) {
	if s != nil {
		if id, state, err := s.ResumptionState(); err == nil {
			c.witness.note("id", id)
			if encoded, err := state.Bytes(); err == nil {
				c.witness.note("secret", secretOf(encoded))
			}
		}
	}
	c.ClientSessionCache.Put(key, s)
}

// secretOf returns the secret in the bytes of a tls.SessionState: 32 or 48 bytes
// with their length before them, after version, kind, suite and time.
func secretOf(state []byte) []byte {
	const before = 2 + 1 + 2 + 8
	return state[before+1:][:state[before]]
}

// search says where each value is found, in its raw form or as text.
func (w *witness) search(files map[string][]byte) (found []string) {
	for name, value := range w.values {
		for _, form := range formsOf(value) {
			for file, data := range files {
				if bytes.Contains(data, form) {
					found = append(found, name+" is in "+file)
				}
			}
		}
	}
	return found
}

func formsOf(value []byte) [][]byte {
	lower := hex.EncodeToString(value)
	return [][]byte{
		value, []byte(lower), []byte(strings.ToUpper(lower)),
		[]byte(base64.RawStdEncoding.EncodeToString(value)), []byte(base64.RawURLEncoding.EncodeToString(value)),
	}
}
