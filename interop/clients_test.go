package interop

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/internal/testpeer"
	"github.com/halfshake/halfshake/internal/testsecrets"
	"github.com/halfshake/halfshake/interop/client"
	"github.com/halfshake/halfshake/interop/serve"
)

const clientLimit = 30 * time.Second // for both connections of a client

var (
	versions = []string{"1.2", "1.3"}
	clients  = []client.Driver{
		client.OpenSSL, client.Node, client.Curl, client.GnuTLS, client.GnuTLSFlag, client.Java, client.WolfSSL,
	}
	// clientsWithCertificate are the clients that are also tested with a client certificate.
	clientsWithCertificate = []client.Driver{client.OpenSSL, client.Node, client.Curl}
)

// sessionIDs are the values of --session-ids; the first is the default.
var sessionIDs = []string{"ticketless", "always", "off"}

// want describes the expected second connection of a driver.
type want struct {
	engine, resumedBy string
}

// wanted returns which engine serves a client, and how the client resumes. The client does not resume if it needs a session
// id and the engine gives none.
func wanted(ids string, driver client.Driver, version string) want {
	switch {
	case version == "1.3":
		return want{"crypto/tls", "psk"}
	case ids == "always" || ids == "ticketless" && driver.Ticketless:
		return want{"tls12", "session-id"}
	case driver.Ticketless || driver.NeedsID:
		return want{"crypto/tls", ""}
	}
	return want{"crypto/tls", "ticket"}
}

// TestClientsResume has every client resume in both versions, with servers of both kinds of key.
func TestClientsResume(t *testing.T) {
	for _, ids := range sessionIDs {
		for _, kind := range kinds {
			t.Run(ids+"/"+kind.String(), func(t *testing.T) { clientsResume(t, ids, kind) })
		}
	}
}

func clientsResume(t *testing.T, ids string, kind testca.Kind) {
	s := startSite(t, kind, "--session-ids", ids)
	s.eachVisit(t, clients, func(t *testing.T, driver client.Driver, target client.Target) {
		first, second := visit(t, driver, target)
		s.count(first, second)
		if driver.Name != client.GnuTLSFlag.Name {
			checkFull(t, target.Version, first)
		}
		checkSecond(t, wanted(ids, driver, target.Version), target.Version, second)
	})
	s.checkHits(t)
}

// TestOpenSSLReconnects checks that "openssl s_client -reconnect", which takes no tickets, resumes all five times.
func TestOpenSSLReconnects(t *testing.T) {
	need(t, client.OpenSSL)
	s := startSite(t, testca.ECDSA)
	ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, "openssl", "s_client", "-connect", s.server.Listen, "-servername", serverName,
		"-CAfile", s.roots, "-verify_return_error", "-tls1_2", "-no_ticket", "-reconnect").Output()
	if err != nil {
		t.Fatal(err) // without the client's output, which has the session's secret
	}
	check(t, "full", bytes.Count(out, []byte("\nNew, TLSv1.2")), 1)
	check(t, "reused", bytes.Count(out, []byte("\nReused, TLSv1.2")), 5)
	s.hits = 5
	s.checkHits(t)
}

// TestOpenSSLHangsUp checks that "openssl s_time -reuse", which sends no request and closes without close_notify, resumes
// every time.
func TestOpenSSLHangsUp(t *testing.T) {
	need(t, client.OpenSSL)
	s := startSite(t, testca.ECDSA, "--session-ids", "always")
	ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, "openssl", "s_time", "-connect", s.server.Listen, "-CAfile", s.roots,
		"-reuse", "-tls1_2", "-time", "1").Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// It prints an r for each connection that resumed and a * for each that did not.
	marks := regexp.MustCompile(`(?m)^[r*]+$`).Find(out)
	t.Logf("%d connections", len(marks))
	if len(marks) == 0 {
		t.Fatalf("no connection: %s", out)
	}
	check(t, "reused", bytes.Count(marks, []byte("r")), len(marks))
	s.hits = len(marks)
	s.checkHits(t)
}

// TestClientCertificates has clients resume with a certificate that the server requires, and without one that the server
// only requests. Without a certificate that the server requires, the handshake fails.
func TestClientCertificates(t *testing.T) {
	for _, test := range []struct {
		name     string
		auth     string // --client-auth
		presents bool
		fails    bool
	}{
		{name: "required and presented", auth: "require", presents: true},
		{name: "required and absent", auth: "require", fails: true},
		{name: "requested and presented", auth: "request", presents: true},
		{name: "requested and absent", auth: "request"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, kind := range kinds {
				t.Run(kind.String(), func(t *testing.T) {
					clients := newAuthority("client authority", kind)
					s := startSite(t, kind, "--client-ca", clients.writeRoot(t), "--client-auth", test.auth)
					s.eachVisit(t, clientsWithCertificate, func(t *testing.T, driver client.Driver, target client.Target) {
						if test.fails {
							checkRejected(t, driver, target)
							return
						}
						sha256 := ""
						if test.presents {
							certificate := clients.client()
							files := writeFiles(t, certificate)
							target.Chain, target.Intermediate, target.Key = files.chain, files.intermediate, files.key
							sha256 = digest(certificate)
						}
						first, second := visit(t, driver, target)
						s.count(first, second)
						checkFull(t, target.Version, first)
						checkSecond(t, wanted(sessionIDs[0], driver, target.Version), target.Version, second)
						checkCertificate(t, sha256, first, second)
					})
					s.checkHits(t)
				})
			}
		})
	}
}

// site is a running server with a certificate for serverName.
type site struct {
	server *serve.Server
	roots  string // PEM file
	hits   int    // resumed connections according to the clients
}

func startSite(t *testing.T, kind testca.Kind, args ...string) *site {
	t.Helper()
	servers := newAuthority("server authority", kind)
	files := writeFiles(t, servers.server())
	args = append([]string{"--cert", files.chain, "--key", files.key}, args...)
	return &site{server: serve.Start(t, command(t), args...), roots: servers.writeRoot(t)}
}

// eachVisit runs check as a subtest for each driver and version.
func (s *site) eachVisit(t *testing.T, drivers []client.Driver, check func(*testing.T, client.Driver, client.Target)) {
	host, port, err := net.SplitHostPort(s.server.Listen)
	if err != nil {
		t.Fatal(err)
	}
	for _, driver := range drivers {
		for _, version := range versions {
			t.Run(driver.Name+"/TLS "+version, func(t *testing.T) {
				need(t, driver)
				check(t, driver, client.Target{
					Host: host, Port: port, ServerName: serverName, Roots: s.roots, Version: version, Dir: t.TempDir(),
				})
			})
		}
	}
}

func (s *site) count(visits ...client.Visit) {
	for _, visit := range visits {
		if visit.Resumed {
			s.hits++
		}
	}
}

// checkHits compares the server's counter with the clients' count.
func (s *site) checkHits(t *testing.T) {
	t.Helper()
	// The last client may exit before the server has read its Finished.
	hits := s.server.Hits(t)
	for deadline := time.Now().Add(5 * time.Second); hits < s.hits && time.Now().Before(deadline); hits = s.server.Hits(t) {
		time.Sleep(10 * time.Millisecond)
	}
	check(t, "hits of the server", hits, s.hits)
}

// need skips the test if the client is not installed, or fails it if CI=true is set.
func need(t *testing.T, driver client.Driver) {
	t.Helper()
	if missing := missing(driver); missing != "" {
		testpeer.Missing(t, fmt.Sprintf("%s: install the Debian package %s", missing, driver.Package))
	}
}

// missing returns the part of a client that is not installed, or "".
func missing(driver client.Driver) string {
	if _, err := exec.LookPath(driver.Binary); err != nil {
		return driver.Binary + " is not on PATH"
	}
	if driver.File == "" {
		return ""
	}
	if _, err := os.Stat(driver.File); err != nil {
		return driver.File + " is not there"
	}
	return ""
}

func visit(t *testing.T, driver client.Driver, target client.Target) (first, second client.Visit) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
	defer cancel()
	first, second, err := driver.Visit(ctx, target)
	if err != nil {
		t.Fatal(err)
	}
	record(first, second)
	return first, second
}

// record records what a client got, for the check for secrets.
func record(visits ...client.Visit) {
	for _, visit := range visits {
		testsecrets.Record(visit.Secrets...)
		_, _ = testsecrets.LogWriter().Write(visit.Body)
	}
}

// checkRejected expects the server to end the handshake of a client without a certificate. The alert must be
// handshake_failure in TLS 1.2 and certificate_required in TLS 1.3.
func checkRejected(t *testing.T, driver client.Driver, target client.Target) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
	defer cancel()
	first, _, err := driver.Visit(ctx, target)
	if err == nil {
		t.Fatalf("without a certificate: got the answer %+v, want a failed handshake", first.Answer)
	}
	alert := map[string]string{"1.2": `alert.handshake.failure`, "1.3": `alert.certificate.required`}[target.Version]
	if !regexp.MustCompile(`(?i)` + alert).MatchString(err.Error()) {
		t.Errorf("without a certificate: want %q, got: %v", alert, err)
	}
}

func checkFull(t *testing.T, version string, visit client.Visit) {
	t.Helper()
	checkCommon(t, version, visit.Answer)
	check(t, "resumed", visit.Resumed, false)
	check(t, "resumed_by", visit.ResumedBy, "")
	check(t, "session_age_seconds", visit.SessionAgeSeconds, 0)
	checkView(t, visit, client.Full)
}

// checkSecond compares a connection that offered a session with want.
func checkSecond(t *testing.T, want want, version string, visit client.Visit) {
	t.Helper()
	check(t, "engine", visit.Engine, want.engine)
	if want.resumedBy == "" {
		checkFull(t, version, visit)
		return
	}
	checkCommon(t, version, visit.Answer)
	check(t, "resumed", visit.Resumed, true)
	check(t, "resumed_by", visit.ResumedBy, want.resumedBy)
	check(t, "session_age_seconds in range",
		visit.SessionAgeSeconds >= 0 && visit.SessionAgeSeconds <= clientLimit.Seconds(), true)
	checkView(t, visit, client.Resumed)
}

// checkCommon checks the parts that are the same in every answer.
func checkCommon(t *testing.T, version string, answer client.Answer) {
	t.Helper()
	check(t, "protocol", answer.Protocol, "TLS "+version)
	check(t, "server_name", answer.ServerName, serverName)
	check(t, "alpn", answer.ALPN, "http/1.1")
	check(t, "cipher_suite is set", answer.CipherSuite != "", true)
}

func checkView(t *testing.T, visit client.Visit, want client.View) {
	t.Helper()
	if visit.View != client.Untold {
		check(t, "the client's own view", visit.View, want)
	}
}

func checkCertificate(t *testing.T, sha256 string, first, second client.Visit) {
	t.Helper()
	check(t, "client_certificate_sha256 of the first", first.ClientCertificateSHA256, sha256)
	check(t, "client_certificate_sha256 of the second", second.ClientCertificateSHA256, sha256)
}

func check[T comparable](t *testing.T, name string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", name, got, want)
	}
}
