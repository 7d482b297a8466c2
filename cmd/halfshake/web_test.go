package main

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testsecrets"
)

// TestMethodsAndPaths asks over TLS and on the metrics address for what is there
// and what is not.
func TestMethodsAndPaths(t *testing.T) {
	r := startServer(t, defaultLimits)
	for _, c := range []struct {
		method, url string
		status      int
	}{
		{"GET", r.url + "/", 200},
		{"HEAD", r.url + "/", 200},
		{"POST", r.url + "/", 405},
		{"OPTIONS", r.url + "/", 405},
		{"GET", r.url + "/connection.json", 200},
		{"HEAD", r.url + "/connection.json", 200},
		{"PUT", r.url + "/connection.json", 405},
		{"DELETE", r.url + "/connection.json", 405},
		{"GET", r.url + "/connection.json/", 404},
		{"GET", r.url + "/favicon.ico", 404},
		{"POST", r.url + "/absent", 404},
		{"GET", r.metrics + "/stats.json", 200},
		{"HEAD", r.metrics + "/healthz", 200},
		{"POST", r.metrics + "/stats.json", 405},
		{"GET", r.metrics + "/", 404},
	} {
		response, body := request(t, c.method, c.url)
		if response.StatusCode != c.status {
			t.Errorf("%s %s: status %d, want %d", c.method, c.url, response.StatusCode, c.status)
		}
		if c.method == "HEAD" && body != "" {
			t.Errorf("HEAD %s: a body of %d bytes", c.url, len(body))
		}
		for name, want := range map[string]string{
			"Cache-Control":           "no-store",
			"X-Content-Type-Options":  "nosniff",
			"Referrer-Policy":         "no-referrer",
			"Content-Security-Policy": "default-src 'none'",
		} {
			if got := response.Header.Get(name); !strings.Contains(got, want) {
				t.Errorf("%s %s: %s is %q, want %q in it", c.method, c.url, name, got, want)
			}
		}
	}
}

// TestConnectionFields holds the names that programs read.
func TestConnectionFields(t *testing.T) {
	r := startServer(t, defaultLimits)
	response, body := request(t, "GET", r.url+"/connection.json")
	if got := response.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type is %q", got)
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(body), &fields); err != nil {
		t.Fatal(err)
	}
	want := []string{"protocol", "cipher_suite", "server_name", "alpn", "resumed", "resumed_by", "session_age_seconds", "engine", "client_certificate_sha256"}
	for _, name := range want {
		if _, ok := fields[name]; !ok {
			t.Errorf("no field %s", name)
		}
	}
	if len(fields) != len(want) {
		t.Errorf("%d fields, want %d", len(fields), len(want))
	}
}

// TestSessionAge: a session that a connection has made itself has no age, however
// long the connection is open; one that it brought has its own.
func TestSessionAge(t *testing.T) {
	t.Parallel()
	r := startServer(t, defaultLimits)
	c := newClient(&tls.Config{}, false)
	transport := c.http.Transport.(*http.Transport)
	transport.DisableKeepAlives = false
	defer transport.CloseIdleConnections()
	age := func() string {
		t.Helper()
		body, err := c.get(r.url + "/connection.json")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(regexp.MustCompile(`"resumed":\w+|"session_age_seconds":\d+`).FindAllString(string(body), -1), " ")
	}
	age()
	time.Sleep(2100 * time.Millisecond)
	if got := age(); got != `"resumed":false "session_age_seconds":0` {
		t.Errorf("on the same connection: %s", got)
	}
	transport.CloseIdleConnections()
	if got := age(); got != `"resumed":true "session_age_seconds":2` && got != `"resumed":true "session_age_seconds":3` {
		t.Errorf("on another: %s", got)
	}
}

// TestPageIsSelfContained: the policy lets the page's style through, and the page
// asks for nothing else.
func TestPageIsSelfContained(t *testing.T) {
	r := startServer(t, defaultLimits)
	response, body := request(t, "GET", r.url+"/")
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(body)
	if style == nil {
		t.Fatal("no style in the page")
	}
	digest := sha256.Sum256([]byte(style[1]))
	hash := "'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "'"
	if policy := response.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "style-src "+hash+";") {
		t.Errorf("the policy %q does not allow the style, %s", policy, hash)
	}
	if found := regexp.MustCompile(`(?i)<script|<img|\ssrc=|\sstyle=|\son[a-z]+=|url\(|href="(?:https?:)?//`).FindString(body); found != "" {
		t.Errorf("the page has %q", found)
	}
	for _, want := range []string{"full handshake", "TLS 1.3", "Handshakes completed</th><td>1<", "Sessions held</th><td>1<"} {
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

// TestPanicsAreLogged: what net/http says of a panic is an error, of clients not.
func TestPanicsAreLogged(t *testing.T) {
	var b logBuffer
	s := &server{limits: quick, log: slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelInfo}))}
	log := s.httpServer(nil).ErrorLog
	log.Print("http: TLS handshake error from 127.0.0.1:1: EOF")
	if b.String() != "" {
		t.Errorf("logged %q", b.String())
	}
	log.Print("http: panic serving 127.0.0.1:1: out of luck")
	if !strings.Contains(b.String(), "level=ERROR") || !strings.Contains(b.String(), "out of luck") {
		t.Errorf("logged %q", b.String())
	}
}

func request(t *testing.T, method, url string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := newClient(&tls.Config{}, false).http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.TeeReader(response.Body, testsecrets.LogWriter()))
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}
