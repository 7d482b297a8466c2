package interop

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/internal/testsecrets"
	"github.com/halfshake/halfshake/interop/client"
	"github.com/halfshake/halfshake/sslsession"
)

// TestSessionFiles reads the files that "openssl s_client -sess_out" writes, of every kind, and writes the same bytes again.
func TestSessionFiles(t *testing.T) {
	need(t, client.OpenSSL)
	clients := newAuthority("client authority", testca.ECDSA)
	pair := writeFiles(t, clients.client())
	for _, auth := range []tls.ClientAuthType{tls.NoClientCert, tls.RequireAndVerifyClientCert} {
		servers := newAuthority("server authority", testca.ECDSA)
		addr := startLines(t, halfshake.Config{Scope: "files", SessionIDs: halfshake.SessionIDsTicketless}, &tls.Config{
			Certificates: []tls.Certificate{servers.server()}, ClientAuth: auth, ClientCAs: clients.root.Pool(), NextProtos: []string{"http/1.1"},
		})
		for _, version := range []string{"-tls1_2", "-tls1_2 -no_ticket", "-tls1_3"} {
			for _, name := range []string{"-noservername", "-servername " + serverName} {
				for _, protocol := range []string{"", " -alpn http/1.1"} {
					options := version + " " + name + protocol
					t.Run(auth.String()+options, func(t *testing.T) {
						file := filepath.Join(t.TempDir(), "session.pem")
						args := append(strings.Fields(options), "-sess_out", file)
						if auth != tls.NoClientCert {
							args = append(args, "-cert", pair.chain, "-cert_chain", pair.intermediate, "-key", pair.key)
						}
						sClient(t, addr, args...)
						checkSessionFile(t, file, options)
					})
				}
			}
		}
	}
}

// TestSessionFilesAreShared has "openssl s_client" reuse a session that a client of Halfshake obtained, and the other way
// round, by a file.
func TestSessionFilesAreShared(t *testing.T) {
	need(t, client.OpenSSL)
	servers := newAuthority("server authority", testca.ECDSA)
	addr := startLines(t, halfshake.Config{}, &tls.Config{Certificates: []tls.Certificate{servers.server()}})
	for name, version := range map[string]uint16{"-tls1_2": tls.VersionTLS12, "-tls1_3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			cache, err := halfshake.New(halfshake.Config{Mode: halfshake.ModeClient})
			if err != nil {
				t.Fatal(err)
			}
			defer cache.Close()
			// OpenSSL keeps only the server's own certificate, which must verify alone.
			roots := servers.issuer.Pool()
			x := halfshake.Exchange{Addr: addr, Config: &tls.Config{
				RootCAs: roots, ServerName: serverName, MinVersion: version, MaxVersion: version, KeyLogWriter: testsecrets.KeyLog(),
			}}
			check(t, "a client of Halfshake", dialLine(t, cache, x.Config, addr), "full")
			file := filepath.Join(t.TempDir(), "session.pem")
			for s := range cache.Sessions() {
				exported, err := cache.Export(s, x)
				if err != nil {
					t.Fatal(err)
				}
				text, err := exported.MarshalPEM()
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			check(t, "s_client with its session", sClient(t, addr, name, "-servername", serverName, "-sess_in", file), "resumed")
			check(t, "s_client", sClient(t, addr, name, "-servername", serverName, "-sess_out", file), "full")
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			read, err := sslsession.ParsePEM(text)
			if err != nil {
				t.Fatal(err)
			}
			s, err := cache.Import(read[0], x)
			if err != nil {
				t.Fatal(err)
			}
			base := x.Config.Clone()
			base.ClientSessionCache = cache.Offer(s)
			check(t, "a client of Halfshake with the session of s_client", dialLine(t, cache, base, addr), "resumed")
		})
	}
}

// dialLine makes one connection through a client's cache, and returns the server's line.
func dialLine(t *testing.T, cache *halfshake.Cache, base *tls.Config, addr string) string {
	t.Helper()
	config, err := cache.ClientConfig(base, addr)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", addr, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(libraryLimit))
	if _, err := conn.Write([]byte{'x'}); err != nil {
		t.Fatal(err)
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(answer)
}

// startLines serves lines with a cache, and returns the address.
func startLines(t *testing.T, cfg halfshake.Config, config *tls.Config) string {
	t.Helper()
	cache, err := halfshake.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cache.Close() })
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := cache.NewListener(inner, config)
	if err != nil {
		t.Fatal(err)
	}
	serveLines(t, l)
	return l.Addr().String()
}

// sClient runs "openssl s_client", which sends one line and waits for the server to close. It returns the server's line.
func sClient(t *testing.T, addr string, options ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "openssl", append([]string{"s_client", "-connect", addr, "-quiet"}, options...)...)
	cmd.Stdin = strings.NewReader("x\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err) // without the client's output, which may have the session's secret
	}
	return strings.TrimSpace(string(out))
}

func checkSessionFile(t *testing.T, file, options string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := sslsession.ParsePEM(text)
	if err != nil || len(sessions) != 1 {
		t.Fatalf("%d sessions, %v", len(sessions), err)
	}
	s := sessions[0]
	testsecrets.Record(s.ID, s.MasterKey, s.Ticket)
	again, err := s.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again, text) {
		t.Error("written again, the file differs")
	}
	version := map[bool]uint16{true: tls.VersionTLS12, false: tls.VersionTLS13}[strings.Contains(options, "-tls1_2")]
	check(t, "version", s.Version, version)
	check(t, "has a ticket", s.Ticket != nil, !strings.Contains(options, "-no_ticket"))
	check(t, "server name", string(s.ServerName), map[bool]string{true: serverName}[strings.Contains(options, "-servername")])
	check(t, "ALPN", string(s.ALPN), map[bool]string{true: "http/1.1"}[strings.Contains(options, "-alpn")])
	if cert, err := s.Certificate(); err != nil || cert == nil {
		t.Errorf("the server's certificate: %v", err)
	}
}
