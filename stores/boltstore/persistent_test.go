//go:build unix

package boltstore

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/external"
	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/internal/testsecrets"
)

var (
	authority   = testca.Root("authority", testca.ECDSA)
	certificate = authority.Server()
)

// A visitor is a client that remembers its last session.
type visitor struct{ *tls.Config }

func newVisitor(version uint16) visitor {
	return visitor{&tls.Config{
		RootCAs: authority.Pool(), ServerName: "localhost", MinVersion: version, MaxVersion: version,
		ClientSessionCache: tls.NewLRUClientSessionCache(1), KeyLogWriter: testsecrets.KeyLog(),
	}}
}

// resumes reports whether the visitor resumes at a server with these callbacks.
func (v visitor) resumes(t *testing.T, callbacks halfshake.Callbacks) bool {
	t.Helper()
	cache, err := halfshake.New(halfshake.Config{Callbacks: callbacks})
	must(t, err)
	defer func() { must(t, cache.Close()) }()
	config, err := cache.ServerConfig(&tls.Config{Certificates: []tls.Certificate{certificate}})
	must(t, err)
	near, far := net.Pipe()
	client, server := tls.Client(near, v.Config), tls.Server(far, config)
	var serving sync.WaitGroup
	serving.Go(func() {
		_, err := server.Write([]byte("hello"))
		if err != nil {
			t.Error(err)
		}
	})
	_, err = client.Read(make([]byte, 5))
	serving.Wait()
	near.Close()
	far.Close()
	must(t, err)
	return client.ConnectionState().DidResume
}

func openExternal(t testing.TB, dir string) *External {
	t.Helper()
	e, err := OpenExternal(dir, quiet)
	must(t, err)
	return e
}

func TestExternalSurvivesRestarts(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state", "sessions")
			client := newVisitor(version)
			for life := range 3 {
				e := openExternal(t, dir)
				if got := client.resumes(t, e.Callbacks()); got != (life > 0) {
					t.Errorf("life %d: resumed is %v", life, got)
				}
				must(t, e.Close())
				must(t, e.Close())
			}
			for name, mode := range map[string]os.FileMode{"": 0o700, keysName: 0o600, storeName: 0o600} {
				info, err := os.Stat(filepath.Join(dir, name))
				must(t, err)
				if info.Mode().Perm() != mode {
					t.Errorf("%q has mode %v, want %v", name, info.Mode().Perm(), mode)
				}
			}
			if names := namesIn(t, dir); len(names) != 2 {
				t.Errorf("the directory has %q", names)
			}
		})
	}
}

// TestFirstStartsAtOnce checks that exactly one of several concurrent first starts opens the
// store, under the keys that end up in the file, and that the others say why they failed.
func TestFirstStartsAtOnce(t *testing.T) {
	for range 20 {
		dir := filepath.Join(quickDir(t), "sessions")
		opened := make(chan *External, 8)
		var starts sync.WaitGroup
		for range cap(opened) {
			starts.Go(func() {
				e, err := OpenExternal(dir, quiet)
				if err == nil {
					opened <- e
				} else if !strings.Contains(err.Error(), "it is open already") {
					t.Error(err)
				}
			})
		}
		starts.Wait()
		if len(opened) != 1 {
			t.Fatalf("%d of %d concurrent starts have opened the store", len(opened), cap(opened))
		}
		e, client := <-opened, newVisitor(tls.VersionTLS13)
		client.resumes(t, e.Callbacks())
		must(t, e.Close())
		e = openExternal(t, dir)
		if !client.resumes(t, e.Callbacks()) {
			t.Fatal("the keys in the file are not those that the first start used")
		}
		must(t, e.Close())
	}
}

func TestSecondProcess(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o700))
	must(t, openExternal(t, dir).Close())
	startChild(t, "hold", filepath.Join(dir, storeName))
	wantRefused(t, dir, "it is open already", "fuser")
}

// wantRefused checks that OpenExternal fails with an error that contains all of words.
func wantRefused(t *testing.T, dir string, words ...string) {
	t.Helper()
	e, err := OpenExternal(dir, quiet)
	if err == nil {
		e.Close()
		t.Error("it was opened")
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not say %q: %v", word, err)
		}
	}
}

// TestBadKeyFile has key files that must not be used, and the error for each. The files
// stay as they are, and the store can be opened afterwards.
func TestBadKeyFile(t *testing.T) {
	text, err := external.GenerateKeys(in(0)).MarshalText()
	must(t, err)
	testsecrets.Record(text)
	write := func(text []byte, mode os.FileMode) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			must(t, os.WriteFile(path, text, 0o600))
			must(t, os.Chmod(path, mode))
		}
	}
	for name, test := range map[string]struct {
		prepare func(t *testing.T, path string)
		words   []string
	}{
		"readable by the group": {write(text, 0o640), []string{"mode is 0640", "run chmod 600 "}},
		"readable by others":    {write(text, 0o604), []string{"mode is 0604", "run chmod 600 "}},
		"writable by the group": {write(text, 0o620), []string{"mode is 0620", "run chmod 600 "}},
		"cut off":               {write(text[:len(text)-10], 0o600), []string{"cut off", "restore it"}},
		"empty":                 {write(nil, 0o600), []string{"it is empty", "restore it"}},
		"too large":             {write(bytes.Repeat(text, 1000), 0o600), []string{"restore it"}},
		"a directory": {func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) },
			[]string{"not a regular file"}},
		"a pipe": {func(t *testing.T, path string) { must(t, syscall.Mkfifo(path, 0o600)) },
			[]string{"not a regular file"}},
		"a circle of links": {func(t *testing.T, path string) { must(t, os.Symlink(keysName, path)) },
			[]string{"too many levels"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "sessions")
			must(t, os.Mkdir(dir, 0o700))
			path := filepath.Join(dir, keysName)
			test.prepare(t, path)
			wantRefused(t, dir, append(test.words, path)...)
			must(t, os.RemoveAll(path))
			must(t, openExternal(t, dir).Close())
		})
	}
}

func TestUnreadableKeyFile(t *testing.T) {
	unprivileged(t)
	path := filepath.Join(t.TempDir(), keysName)
	must(t, os.WriteFile(path, nil, 0o200))
	_, err := readKeys(path)
	if err == nil || !strings.Contains(err.Error(), "permission denied: let this user read it") {
		t.Error(err)
	}
}

func TestDirectoryIsPrivate(t *testing.T) {
	for mode, refused := range map[os.FileMode]bool{
		0o700: false, 0o750: false, 0o755: false, 0o770: true, 0o702: true,
	} {
		dir := filepath.Join(t.TempDir(), "sessions")
		must(t, os.Mkdir(dir, 0o700))
		must(t, os.Chmod(dir, mode))
		if !refused {
			must(t, openExternal(t, dir).Close())
			continue
		}
		wantRefused(t, dir, "run chmod 700 "+dir)
		if names := namesIn(t, dir); len(names) > 0 {
			t.Errorf("mode %v: %q were made", mode, names)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	wantRefused(t, file, "not a directory")
	wantRefused(t, "", "its name is empty")
}

func TestForeignOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give files away")
	}
	dir := filepath.Join(t.TempDir(), "sessions")
	must(t, openExternal(t, dir).Close())
	for _, name := range []string{keysName, ""} {
		path := filepath.Join(dir, name)
		must(t, os.Chown(path, 4711, -1))
		wantRefused(t, dir, "with id 4711", "run chown 0 "+path)
		must(t, os.Chown(path, 0, -1))
	}
	must(t, openExternal(t, dir).Close())
}

// TestLostKeyFile checks that the sessions are lost with the key file, and that the log says
// so.
func TestLostKeyFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sessions")
	client := newVisitor(tls.VersionTLS13)
	e := openExternal(t, dir)
	client.resumes(t, e.Callbacks())
	must(t, e.Close())
	must(t, os.Remove(filepath.Join(dir, keysName)))

	var lines bytes.Buffer
	e, err := OpenExternal(dir, Config{Logger: slog.New(slog.NewTextHandler(&lines, nil))})
	must(t, err)
	if client.resumes(t, e.Callbacks()) {
		t.Error("a session resumed without the key that sealed it")
	}
	must(t, e.Close())
	if !strings.Contains(lines.String(), "the key file is missing") || !strings.Contains(lines.String(), "sessions=1") {
		t.Errorf("the log has %q", &lines)
	}
}
