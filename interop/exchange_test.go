package interop

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/internal/testpeer"
	"github.com/halfshake/halfshake/internal/testsecrets"
	"github.com/halfshake/halfshake/sslsession"
	"github.com/halfshake/halfshake/tls12"
)

// TestSharedDirectory has a C server on libssl and a Go server share a directory of sessions in OpenSSL's encoding. Each
// resumes the other's sessions, and each removes what the other made.
func TestSharedDirectory(t *testing.T) {
	for _, version := range bothVersions {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			d := &sharedDirectory{t, t.TempDir(), newAuthority("server authority", testca.ECDSA)}
			c, remove := d.startC(), byte('r')
			goes, removeAll := d.startGo()
			for _, test := range []struct {
				maker, other string
				remove       func() string
			}{
				{c, goes, removeAll},
				{goes, c, func() string { return d.visit(c, &sharingClient{version: version}, remove) }},
			} {
				client := &sharingClient{version: version}
				check(t, "first", d.visit(test.maker, client, ' '), "full")
				check(t, "at the other server", d.visit(test.other, client, ' '), "resumed")
				check(t, "at the first again", d.visit(test.maker, client, ' '), "resumed")
				another := &sharingClient{version: version}
				check(t, "another client", d.visit(test.maker, another, ' '), "full")
				if n := test.remove(); n == "0" {
					t.Error("the other server found no session to remove")
				}
				check(t, "after the removal", d.visit(test.maker, another, ' '), "full")
			}
		})
	}
}

// A sharedDirectory is a directory of sessions, and what its servers have in common.
type sharedDirectory struct {
	*testing.T
	path    string
	servers authority
}

const idContext = "shared directory"

// startC starts the C server, and returns its address.
func (d *sharedDirectory) startC() string {
	d.Helper()
	dir := d.TempDir()
	binary := filepath.Join(dir, "cserver")
	if out, err := exec.Command("cc", "-Wall", "-Wextra", "-Werror", "-o", binary, "testdata/cserver.c", "-lssl", "-lcrypto").CombinedOutput(); err != nil {
		testpeer.Missing(d, fmt.Sprintf("the C server does not build (Debian packages gcc, libssl-dev): %v: %s", err, out))
	}
	pair := writeFiles(d.T, d.servers.server())
	cmd := exec.Command(binary, pair.chain, pair.key, d.path, idContext)
	cmd.Stderr = testsecrets.LogWriter()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		d.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		d.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			d.Errorf("the C server: %v", err)
		}
	})
	port, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		d.Fatal(err)
	}
	return "127.0.0.1:" + strings.TrimSpace(port)
}

// startGo starts the Go server, and returns its address and a function that removes every session in the directory.
func (d *sharedDirectory) startGo() (addr string, removeAll func() string) {
	d.Helper()
	cache, err := halfshake.New(halfshake.Config{
		Mode: halfshake.ModeServer | halfshake.ModeNoInternal, SessionIDs: halfshake.SessionIDsAlways, Callbacks: halfshake.Callbacks{
			Get: func(context.Context, halfshake.ConnInfo, []byte) (*halfshake.Session, error) { return nil, nil },
		},
	})
	if err != nil {
		d.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{d.servers.server()}}
	files := &derFiles{d.path, cache, halfshake.Exchange{Config: config, IDContext: []byte(idContext), ServerName: serverName}}
	cache.SetNewCallback(files.put)
	cache.SetGetCallback(files.get)
	cache.SetRemoveCallback(files.remove)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.Fatal(err)
	}
	l, err := cache.NewListener(inner, config)
	if err != nil {
		d.Fatal(err)
	}
	serveLines(d.T, l)
	d.Cleanup(func() { cache.Close() })
	return l.Addr().String(), func() string { return fmt.Sprint(files.removeAll(d.T)) }
}

// serveLines serves one connection of l after the other until the test ends.
func serveLines(t *testing.T, l net.Listener) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			sayResumed(conn)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
}

// sayResumed does what the C server does.
func sayResumed(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(libraryLimit))
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		return
	}
	answer := "full\n"
	if conn.(interface{ ConnectionState() tls.ConnectionState }).ConnectionState().DidResume {
		answer = "resumed\n"
	}
	io.WriteString(conn, answer)
}

// derFiles are callbacks over a directory of sessions in OpenSSL's encoding.
type derFiles struct {
	path     string
	cache    *halfshake.Cache
	exchange halfshake.Exchange
}

func (f *derFiles) file(id []byte) string { return filepath.Join(f.path, hex.EncodeToString(id)) }

func (f *derFiles) put(_ context.Context, _ halfshake.ConnInfo, s *halfshake.Session) bool {
	exported, err := f.cache.Export(s, f.exchange)
	if err != nil {
		return false
	}
	der, err := exported.Marshal()
	if err != nil {
		return false
	}
	part := f.file(s.ID()) + ".part"
	return os.WriteFile(part, der, 0o600) == nil && os.Rename(part, f.file(s.ID())) == nil
}

func (f *derFiles) get(_ context.Context, _ halfshake.ConnInfo, id []byte) (*halfshake.Session, error) {
	return f.read(f.file(id))
}

func (f *derFiles) read(name string) (*halfshake.Session, error) {
	der, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	exported, err := sslsession.Parse(der)
	if err != nil {
		return nil, err
	}
	testsecrets.Record(exported.ID, exported.MasterKey)
	return f.cache.Import(exported, f.exchange)
}

func (f *derFiles) remove(_ context.Context, _ *halfshake.Cache, s *halfshake.Session, cause halfshake.Cause) {
	if cause.EndsSession() {
		os.Remove(f.file(s.ID()))
	}
}

func (f *derFiles) removeAll(t *testing.T) (n int) {
	t.Helper()
	entries, err := os.ReadDir(f.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		s, err := f.read(filepath.Join(f.path, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		f.cache.Remove(s)
		n++
	}
	return n
}

// A sharingClient offers its last session to either server: by session id in TLS 1.2.
type sharingClient struct {
	version uint16
	ids     *tls12.Session
	tickets tls.ClientSessionCache
}

// visit connects to a server, sends it a command, and returns its answer.
func (d *sharedDirectory) visit(addr string, client *sharingClient, command byte) string {
	d.Helper()
	raw, err := net.DialTimeout("tcp", addr, libraryLimit)
	if err != nil {
		d.Fatal(err)
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(libraryLimit))
	config := &tls.Config{
		RootCAs: d.servers.root.Pool(), ServerName: serverName, MinVersion: client.version, MaxVersion: client.version,
		KeyLogWriter: testsecrets.KeyLog(),
	}
	var conn net.Conn
	if client.version == tls.VersionTLS12 {
		conn12, err := tls12.Client(raw, config, client.ids)
		if err != nil {
			d.Fatal(err)
		}
		defer func() { client.ids = conn12.Session() }()
		conn = conn12
	} else {
		if client.tickets == nil {
			client.tickets = tls.NewLRUClientSessionCache(1)
		}
		config.ClientSessionCache = client.tickets
		conn = tls.Client(raw, config)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte{command}); err != nil {
		d.Fatal(err)
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		d.Fatal(err)
	}
	return strings.TrimSpace(answer)
}
