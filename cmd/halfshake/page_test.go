package main

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/internal/testsecrets"
)

// TestPageIsSelfContained: the policy lets the page's own style and script through,
// and the page asks for nothing else. interop/browser has a browser look at it.
func TestPageIsSelfContained(t *testing.T) {
	r := startServer(t, defaultLimits)
	response, body := request(t, "GET", r.url+"/")
	policy := response.Header.Get("Content-Security-Policy")
	for _, part := range []string{"style", "script"} {
		source := regexp.MustCompile(`(?s)<` + part + `>(.*)</` + part + `>`).FindStringSubmatch(body)
		if source == nil {
			t.Fatalf("no %s in the page", part)
		}
		digest := sha256.Sum256([]byte(source[1]))
		hash := part + "-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "';"
		if !strings.Contains(policy, hash) {
			t.Errorf("the policy %q has no %s", policy, hash)
		}
		body = strings.Replace(body, source[0], "", 1)
	}
	if strings.Contains(policy, "unsafe") || !strings.Contains(policy, "connect-src 'self';") {
		t.Errorf("the policy is %q", policy)
	}
	if found := regexp.MustCompile(`(?i)<script|<style|<img|<link rel="[^i]|\ssrc=|\sstyle=|\son[a-z]+=|url\(|href="(?:https?:)?//`).FindString(body); found != "" {
		t.Errorf("the page has %q", found)
	}
	for _, want := range []string{"full handshake", "TLS 1.3", `data-figure="accept_good">`, `data-figure="number">1<`, "X25519", " bytes of certificate"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

// TestConnectAnew: the page's button closes the connection, over either HTTP.
func TestConnectAnew(t *testing.T) {
	r := startServer(t, defaultLimits)
	for _, h2 := range []bool{false, true} {
		c := newClient(&tls.Config{}, h2)
		c.http.Transport.(*http.Transport).DisableKeepAlives = false
		if _, err := c.get(r.url + "/"); err != nil {
			t.Fatal(err)
		}
		body, err := c.get(r.url + "/?anew=")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(body), "resumed a session") {
			t.Errorf("HTTP/2 %v: the page after the button shows no resumption", h2)
		}
		c.http.CloseIdleConnections()
	}
}

// TestPageEscapes: what a client sends stays text, and no command names a host
// that a shell would read as more than that.
func TestPageEscapes(t *testing.T) {
	r := startServer(t, defaultLimits)
	const hostile = `"><script>alert(1)</script><b a='`
	conn, err := tls.Dial("tcp", r.addr, &tls.Config{InsecureSkipVerify: true, ServerName: hostile, KeyLogWriter: testsecrets.KeyLog()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: $(reboot);'.example\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	body := readAll(t, conn, conn)
	if strings.Contains(body, "<script>alert") || !strings.Contains(body, "&lt;script&gt;alert(1)") {
		t.Error("the server name is not in the page, or not escaped")
	}
	if strings.Contains(body, "reboot") || !strings.Contains(body, "https://"+r.addr+"/connection.json") {
		t.Error("the commands name the Host that was sent")
	}
}

// TestPageOverPlainHTTP: without TLS there is no connection to show.
func TestPageOverPlainHTTP(t *testing.T) {
	cache, err := halfshake.New(halfshake.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	mux := http.NewServeMux()
	(&server{cache: cache}).handleLive(mux)
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest("GET", "/", nil))
	if body := answer.Body.String(); answer.Code != 200 || !strings.Contains(body, "plain HTTP") || strings.Contains(body, "This connection") {
		t.Errorf("status %d, %d bytes", answer.Code, len(body))
	}
}

// TestFlights spells the handshakes out; a message in brackets was spared.
func TestFlights(t *testing.T) {
	client := chainSize{1, 500}
	for name, c := range map[string]struct {
		view handshakeView
		want []string
	}{
		"1.3 full": {
			handshakeView{Version: tls.VersionTLS13, Kept: true},
			[]string{"> ClientHello", "< ServerHello EncryptedExtensions Certificate CertificateVerify Finished NewSessionTicket", "> Finished"},
		},
		"1.3 full, asked for a certificate": {
			handshakeView{Version: tls.VersionTLS13, Kept: true, Asked: true, ClientChain: client, Retried: true},
			[]string{
				"> ClientHello", "< HelloRetryRequest", "> ClientHello",
				"< ServerHello EncryptedExtensions CertificateRequest Certificate CertificateVerify Finished",
				"> Certificate CertificateVerify Finished", "< NewSessionTicket",
			},
		},
		"1.3 resumed": {
			handshakeView{Version: tls.VersionTLS13, Kept: true, Asked: true, ClientChain: client, connection: connection{Resumed: true, ResumedBy: "psk"}},
			[]string{
				"> ClientHello with pre_shared_key",
				"< ServerHello EncryptedExtensions [CertificateRequest] [Certificate] [CertificateVerify] Finished NewSessionTicket",
				"> [Certificate] [CertificateVerify] Finished",
			},
		},
		"1.2 full, nothing kept": {
			handshakeView{Version: tls.VersionTLS12, connection: connection{Engine: engineCryptoTLS}},
			[]string{
				"> ClientHello", "< ServerHello Certificate ServerKeyExchange ServerHelloDone",
				"> ClientKeyExchange ChangeCipherSpec Finished", "< ChangeCipherSpec Finished",
			},
		},
		"1.2 resumed by ticket": {
			handshakeView{Version: tls.VersionTLS12, Kept: true, connection: connection{Resumed: true, ResumedBy: "ticket", Engine: engineCryptoTLS}},
			[]string{
				"> ClientHello with the ticket",
				"< ServerHello [Certificate] [ServerKeyExchange] [ServerHelloDone] NewSessionTicket ChangeCipherSpec Finished",
				"> [ClientKeyExchange] ChangeCipherSpec Finished",
			},
		},
		"1.2 full, by session id, asked": {
			handshakeView{Version: tls.VersionTLS12, Kept: true, Asked: true, connection: connection{Engine: engineTLS12}},
			[]string{
				"> ClientHello", "< ServerHello Certificate ServerKeyExchange CertificateRequest ServerHelloDone",
				"> Certificate ClientKeyExchange ChangeCipherSpec Finished", "< ChangeCipherSpec Finished",
			},
		},
	} {
		var got []string
		for _, f := range c.view.Flights() {
			got = append(got, f.text())
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

func (f flight) text() string {
	text := "<"
	if f.FromClient {
		text = ">"
	}
	for _, m := range f.Messages {
		if m.Spared {
			m.Name = "[" + m.Name + "]"
		}
		text += " " + m.Name
	}
	return text
}

// TestSpoken holds the words for an age.
func TestSpoken(t *testing.T) {
	for seconds, want := range map[int64]string{
		0: "less than a second", 1: "1 second", 119: "119 seconds", 120: "2 minutes", 7199: "119 minutes", 7200: "2 hours", 200_000: "55 hours",
	} {
		if got := spoken(seconds); got != want {
			t.Errorf("%d: %q, want %q", seconds, got, want)
		}
	}
}
