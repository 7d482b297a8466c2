package tls12

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/internal/testpeer"
)

// The tests in this file run other implementations. A test whose program is missing is
// skipped.

// A tlsListener accepts connections of this package.
type tlsListener struct {
	net.Listener
	config   *tls.Config
	sessions Sessions
}

func (l *tlsListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return Server(conn, l.config, l.sessions)
}

// listen returns a listener with a certificate for localhost, and the file of its CA's
// certificate.
func listen(t *testing.T, kind testca.Kind) (l *tlsListener, caFile string, sessions *mapSessions) {
	t.Helper()
	ca := testca.Root("test", kind)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Cert.Raw}), 0o600))
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { tcp.Close() })
	config := serverConfig(t)
	config.Certificates = []tls.Certificate{ca.Server()}
	config.NextProtos = []string{"http/1.1"}
	sessions = &mapSessions{}
	return &tlsListener{tcp, config, sessions}, caFile, sessions
}

// serveHTTP answers each request with whether its connection was resumed.
func serveHTTP(t *testing.T, l net.Listener) {
	t.Helper()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%x resumed=%v %s\n", r.TLS.Version, r.TLS.DidResume, r.Proto)
	})}
	var done sync.WaitGroup
	done.Go(func() { server.Serve(l) })
	t.Cleanup(func() { server.Close(); done.Wait() })
}

// programLimit is how long another program may take. The machine may be busy, and Java
// starts slowly.
const programLimit = 2 * time.Minute

// program runs a program.
func program(t *testing.T, stdin string, name string, args ...string) string {
	t.Helper()
	testpeer.Need(t, name)
	ctx, cancel := context.WithTimeout(t.Context(), programLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s has not ended after %v; it says:\n%s", name, programLimit, out)
	}
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", name, err)
	}
	return string(out)
}

func TestOpenSSLClient(t *testing.T) {
	for _, kind := range []testca.Kind{testca.ECDSA, testca.RSA} {
		for _, suite := range []string{"AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"} {
			t.Run(fmt.Sprint(kind, " ", suite), func(t *testing.T) {
				l, caFile, sessions := listen(t, kind)
				serveHTTP(t, l)
				out := program(t, "", "openssl", "s_client", "-connect", l.Addr().String(), "-servername", "localhost", "-CAfile", caFile,
					"-verify_return_error", "-tls1_2", "-no_ticket", "-reconnect", "-cipher", "ECDHE-"+strings.ToUpper(kind.String())+"-"+suite)
				if full, again := strings.Count(out, "\nNew, TLSv1.2"), strings.Count(out, "\nReused, TLSv1.2"); full != 1 || again != 5 {
					t.Errorf("%d full and %d reused, want 1 and 5; it says:\n%s", full, again, out)
				}
				for _, want := range []string{"Extended master secret: yes", "Secure Renegotiation IS supported", "Verify return code: 0 (ok)"} {
					if !strings.Contains(out, want) {
						t.Errorf("it does not say %q", want)
					}
				}
				sessions.expect(t, [4]int{5, 1, 1, 5})
			})
		}
	}
}

func TestCurl(t *testing.T) {
	l, caFile, _ := listen(t, testca.ECDSA)
	serveHTTP(t, l)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	url := "https://localhost:" + port + "/"
	// curl built on OpenSSL does not take tickets, so it must use the session id.
	out := program(t, "", "curl", "-sS", "--ipv4", "--cacert", caFile, "--tls-max", "1.2", "--http1.1", "-H", "Connection: close", url, url)
	if want := "303 resumed=false HTTP/1.1\n303 resumed=true HTTP/1.1\n"; out != want {
		t.Errorf("curl prints %q, want %q", out, want)
	}
}

func TestGnuTLSClient(t *testing.T) {
	l, caFile, sessions := listen(t, testca.ECDSA)
	serveHTTP(t, l)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	out := program(t, "", "gnutls-cli", "--x509cafile", caFile, "--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.2:%NO_TICKETS", "--resume", "--port", port, "localhost")
	if !strings.Contains(out, "This is a resumed session") || sessions.counts()[3] == 0 {
		t.Errorf("it did not resume; it says:\n%s", out)
	}
}

// TestOpenSSLServer resumes as a client of openssl s_server.
func TestOpenSSLServer(t *testing.T) {
	testpeer.Need(t, "openssl")
	own := certificateOf(t, "rsa-2048")
	addr, stop := opensslServer(t, own.certificate)
	defer stop()
	config := &tls.Config{RootCAs: own.pool, ServerName: "localhost"}
	var s *Session
	for i := range 3 {
		conn, err := net.Dial("tcp", addr)
		must(t, err)
		conn.SetDeadline(time.Now().Add(limit))
		c := newClient(t, conn, config, s)
		must(t, c.Handshake())
		if resumed := c.ConnectionState().DidResume; resumed != (i > 0) {
			t.Errorf("connection %d: resumed is %v", i, resumed)
		}
		if s = c.Session(); s == nil {
			t.Fatal("there is no session")
		}
		fmt.Fprint(c, "text\n")
		b := make([]byte, 5)
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "txet\n" {
			t.Errorf("s_server -rev answers %q, %v", b, err)
		}
		must(t, c.Close())
	}
}

// opensslServer starts s_server, which answers each line reversed, on a port that it
// chooses itself: another process might take a port that a test found free.
func opensslServer(t *testing.T, certificate tls.Certificate) (addr string, stop func()) {
	t.Helper()
	certFile, keyFile := writePEM(t, certificate)
	cmd := exec.Command("openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", certFile, "-key", keyFile, "-tls1_2", "-no_ticket", "-rev")
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	stop = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if addr, found := strings.CutPrefix(lines.Text(), "ACCEPT "); found {
			go io.Copy(io.Discard, out)
			return addr, stop
		}
	}
	stop()
	t.Fatal("s_server does not listen")
	return "", nil
}

// TestJavaClient checks that Java resumes by id, as it does at OpenSSL and does not at
// crypto/tls, whether or not it offers to take tickets.
func TestJavaClient(t *testing.T) {
	for _, tickets := range []string{"true", "false"} {
		t.Run("tickets "+tickets, func(t *testing.T) {
			testSixConnections(t, "java", "-Djdk.tls.client.enableSessionTicketExtension="+tickets, "testdata/Resume.java")
		})
	}
}

func TestNodeClient(t *testing.T) { testSixConnections(t, "node", "testdata/resume.js") }

// testSixConnections runs a program that connects six times.
func testSixConnections(t *testing.T, name string, args ...string) {
	t.Helper()
	l, _, sessions := listen(t, testca.RSA)
	serveHTTP(t, l)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	out := program(t, "", name, append(args, port)...)
	if full, again := strings.Count(out, "full\n"), strings.Count(out, "resumed\n"); full != 1 || again != 5 {
		t.Errorf("%d full and %d resumed, want 1 and 5; it says:\n%s", full, again, out)
	}
	sessions.expect(t, [4]int{5, 1, 1, 5})
}

// TestOpenSSLClientCertificate resumes a session with a client certificate, with every
// type of key.
func TestOpenSSLClientCertificate(t *testing.T) {
	for kind := range keyKinds {
		t.Run(kind, func(t *testing.T) {
			l, caFile, sessions := listen(t, testca.ECDSA)
			own := certificateOf(t, kind)
			l.config.ClientAuth, l.config.ClientCAs = tls.RequireAndVerifyClientCert, own.pool
			l.config.VerifyConnection = func(s tls.ConnectionState) error {
				if len(s.VerifiedChains) != 1 || s.PeerCertificates[0].Subject.CommonName != kind {
					t.Errorf("resumed %v: the client is %v", s.DidResume, s.PeerCertificates)
				}
				return nil
			}
			serveHTTP(t, l)
			certFile, keyFile := writePEM(t, own.certificate)
			out := program(t, "", "openssl", "s_client", "-connect", l.Addr().String(), "-CAfile", caFile,
				"-cert", certFile, "-key", keyFile, "-tls1_2", "-no_ticket", "-reconnect")
			if again := strings.Count(out, "\nReused, TLSv1.2"); again != 5 {
				t.Errorf("%d reused, want 5; it says:\n%s", again, out)
			}
			sessions.expect(t, [4]int{5, 1, 1, 5})
		})
	}
}
