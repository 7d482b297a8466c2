package main

import (
	"crypto/tls"
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
		{"GET", r.url + "/live.json", 200},
		{"HEAD", r.url + "/live.json", 200},
		{"POST", r.url + "/live.json", 405},
		{"GET", r.url + "/favicon.ico", 404},
		{"POST", r.url + "/absent", 404},
		{"GET", r.metrics + "/stats.json", 200},
		{"HEAD", r.metrics + "/healthz", 200},
		{"POST", r.metrics + "/stats.json", 405},
		{"GET", r.metrics + "/", 200},
		{"GET", r.metrics + "/readyz", 200},
		{"GET", r.metrics + "/metrics", 200},
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
