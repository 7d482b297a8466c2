package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
)

// overEachWay runs a test with one backend, in each way to the proxy.
func overEachWay(t *testing.T, backend http.HandlerFunc, test func(*testing.T, *front)) {
	t.Helper()
	address := newBackend(t, backend)
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) { test(t, newFront(t, w, address, HTTPOptions{})) })
	}
}

// TestRequest: method, path, query and host reach the backend unchanged, and the answer's
// status, headers and body reach the client unchanged.
func TestRequest(t *testing.T) {
	backend := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.Header().Set("X-Seen", fmt.Sprintf("%s %s %s %s %q %q", r.Proto, r.Method, r.RequestURI, r.Host, r.Header["Accept-Encoding"], r.Header["User-Agent"]))
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "<p>short and stout")
	}
	overEachWay(t, backend, func(t *testing.T, f *front) {
		client := f.client(t)
		for _, path := range []string{"/", "/a//b/../c", "/%2Fa%20b%2f?q=%zz;x&&y", "/ä?ü", "/a?", "//host/path", "/?http://x/", "/:", `/"`} {
			r := newRequest(t, "PURGE", f.url(path), nil)
			r.Host, r.Header["User-Agent"] = "site.example:444", nil
			response := send(t, client, r)
			if body := bodyOf(t, response); response.StatusCode != 418 || body != "<p>short and stout" {
				t.Errorf("%s: %s, %q", path, response.Status, body)
			}
			want := fmt.Sprintf("HTTP/1.1 PURGE %s site.example:444 [] []", r.URL.RequestURI())
			if got := response.Header.Get("X-Seen"); got != want {
				t.Errorf("the backend saw\n%s, want\n%s", got, want)
			}
			if got := response.Header["Set-Cookie"]; len(got) != 2 || got[0] != "a=1" {
				t.Errorf("cookies %q", got)
			}
		}
	})
}

// TestNothingIsAdded: net/http must not guess a Content-Type or decompress.
func TestNothingIsAdded(t *testing.T) {
	backend := func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		if r.URL.Path == "/packed" {
			w.Header().Set("Content-Encoding", "gzip")
		}
		w.Header()["X-Accepted"] = r.Header["Accept-Encoding"]
		if r.URL.Path == "/early" {
			w.WriteHeader(http.StatusEarlyHints)
		}
		_, _ = io.WriteString(w, "<html>\x1f\x8b")
	}
	overEachWay(t, backend, func(t *testing.T, f *front) {
		for _, path := range []string{"/", "/packed", "/early"} {
			r := newRequest(t, "GET", f.url(path), nil)
			r.Header.Set("Accept-Encoding", "br, gzip")
			response := send(t, f.client(t), r)
			if body := bodyOf(t, response); body != "<html>\x1f\x8b" || (response.Header.Get("Content-Encoding") == "gzip") != (path == "/packed") {
				t.Errorf("%q, %v", body, response.Header)
			}
			if guess, ok := response.Header["Content-Type"]; ok {
				t.Errorf("the proxy added a Content-Type of %q", guess)
			}
			if got := response.Header["X-Accepted"]; len(got) != 1 || got[0] != "br, gzip" {
				t.Errorf("the backend was told %q", got)
			}
		}
	})
}

func TestHead(t *testing.T) {
	backend := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "123456")
		w.Header().Set("X-Method", r.Method)
	}
	overEachWay(t, backend, func(t *testing.T, f *front) {
		client := f.client(t)
		for range 2 {
			response := send(t, client, newRequest(t, "HEAD", f.url("/"), nil))
			if response.ContentLength != 123456 || response.Header.Get("X-Method") != "HEAD" || bodyOf(t, response) != "" {
				t.Errorf("%v", response.Header)
			}
		}
	})
}

// TestKeepAlive: requests share connections, to the proxy and to the backend.
func TestKeepAlive(t *testing.T) {
	backend := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Connection", "close") // applies to this connection only
		if r.URL.Path == "/keep" {
			w.Header().Del("Connection")
		}
		_, _ = io.WriteString(w, r.RemoteAddr)
	}
	overEachWay(t, backend, func(t *testing.T, f *front) {
		client := f.client(t)
		reused := 0
		trace := &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
			if c.Reused {
				reused++
			}
		}}
		backends := map[string]bool{}
		for i := range 10 {
			path, body := "/keep", io.Reader(strings.NewReader("body"))
			if i >= 5 {
				path, body = "/", nil
			}
			r := newRequest(t, "POST", f.url(path), body)
			backends[bodyOf(t, send(t, client, r.WithContext(httptrace.WithClientTrace(r.Context(), trace))))] = true
		}
		if reused != 9 || len(backends) != 6 && len(backends) != 5 {
			t.Errorf("%d reused, %d connections to the backend", reused, len(backends))
		}
	})
}

// TestHTTP10: a client of HTTP/1.0, which sends no Host, is served.
func TestHTTP10(t *testing.T) {
	backend := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %s %q", r.Proto, r.URL, r.Header["X-Forwarded-Host"])
	})
	f := newFront(t, ways[0], backend, HTTPOptions{})
	response := f.raw(t, "GET /old HTTP/1.0\r\n\r\n")
	if got := bodyOf(t, response); got != "HTTP/1.1 /old []" || !response.Close {
		t.Errorf("%q", got)
	}
}

// TestEnvironmentIsIgnored: the transport does not use a proxy named in the environment.
func TestEnvironmentIsIgnored(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("NO_PROXY", "none.example")
	if newTransport(HTTPOptions{}).Proxy != nil {
		t.Error("the transport looks for a proxy in the environment")
	}
}

// TestIPv6: a backend can have an IPv6 address.
func TestIPv6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("this machine has no ::1: %v", err)
	}
	backend := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "six") })}
	done := make(chan struct{})
	go func() { defer close(done); _ = backend.Serve(l) }()
	t.Cleanup(func() { _ = backend.Close(); <-done })
	target, err := ParseTarget("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	f := newFront(t, ways[0], target.Address, HTTPOptions{})
	if got := bodyOf(t, send(t, f.client(t), newRequest(t, "GET", f.url("/"), nil))); got != "six" {
		t.Errorf("%q", got)
	}
}
