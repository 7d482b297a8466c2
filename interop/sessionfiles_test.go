package interop

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

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
		cache, err := halfshake.New(halfshake.Config{Scope: "files", SessionIDs: halfshake.SessionIDsTicketless})
		if err != nil {
			t.Fatal(err)
		}
		defer cache.Close()
		inner, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l, err := cache.NewListener(inner, &tls.Config{
			Certificates: []tls.Certificate{servers.server()}, ClientAuth: auth, ClientCAs: clients.root.Pool(), NextProtos: []string{"http/1.1"},
		})
		if err != nil {
			t.Fatal(err)
		}
		serveLines(t, l)
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
						sClient(t, l.Addr().String(), args...)
						checkSessionFile(t, file, options)
					})
				}
			}
		}
	}
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
