package proxy

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// seenBy returns a backend that keeps the header of its last request.
func seenBy(t *testing.T) (address string, header *http.Header) {
	t.Helper()
	header = new(http.Header)
	return newBackend(t, func(_ http.ResponseWriter, r *http.Request) { *header = r.Header.Clone() }), header
}

// TestReservedHeaders: a header that backends trust does not arrive from a client, however
// it is spelled.
func TestReservedHeaders(t *testing.T) {
	lines := []string{
		"X-Forwarded-For: 6.6.6.6", "x-forwarded-for: 6.6.6.6", "X-FORWARDED-FOR: 6.6.6.6, 7.7.7.7", "X_Forwarded_For: 6.6.6.6", "X-Forwarded_For: 6.6.6.6",
		"X.Forwarded.For: 6.6.6.6", "X-Forwarded-Proto: http", "X-Forwarded-Host: 6.6.6.6", "X-Forwarded-Port: 6", "X-Forwarded-Prefix: 6", "X-Forwarded-Client-Cert: 6", "X-Forwarded: 6",
		"Forwarded: for=6.6.6.6", "forwarded: for=6.6.6.6", "X-Real-IP: 6.6.6.6", "X_REAL_IP: 6.6.6.6", "X-Client-Ip: 6.6.6.6", "True-Client-IP: 6.6.6.6", "CF-Connecting-IP: 6.6.6.6",
		"Client-Cert: :6666:", "client-cert: :6666:", "Client_Cert: :6666:", "CLIENT_CERT: :6666:", "Client-Cert-Chain: :6666:", "client_cert-chain: :6666:", "Client~Cert: :6666:",
		"X-SSL-Client-Cert: 6", "X-SSL-Client-Verify: SUCCESS6", "SSL_CLIENT_S_DN: CN=6", "X-Original-URL: /6", "X-Rewrite-URL: /6", "Proxy: http://6.6.6.6", "Front-End-Https: 6",
		"X-Client-Verify: SUCCESS6", "X-Client-DN: CN=6", "X-Client-Certificate: 6", "X-ARR-ClientCert: 6", "X-Amzn-Mtls-Clientcert: 6", "X-Amzn-Mtls-Clientcert-Subject: CN=6",
		"WL-Proxy-Client-IP: 6.6.6.6", "Proxy-Client-IP: 6.6.6.6", "Remote-User: 6", "REMOTE_USER: 6", "X-Remote-User: 6", "X_Remote_User: 6",
		"Transfer_Encoding: 6", "Content_Length: 6", "Connection_: 6", "Host_: 6", "Ho_st: kept", "X-Custom_Name: kept", "X-Cert: kept", "Accept: kept",
	}
	address, seen := seenBy(t)
	for _, w := range ways {
		if w.http2 {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			f := newFront(t, w, address, HTTPOptions{ClientCert: true})
			f.raw(t, "GET / HTTP/1.1\r\nHost: site.example\r\n"+strings.Join(lines, "\r\n")+"\r\n\r\n")
			want := http.Header{
				"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"site.example"},
				"Ho_st": {"kept"}, "X-Custom_name": {"kept"}, "X-Cert": {"kept"}, "Accept": {"kept"}, "Connection_": {"6"}, "Host_": {"6"},
			}
			if fmt.Sprint(*seen) != fmt.Sprint(want) {
				t.Errorf("the backend saw\n%v, want\n%v", *seen, want)
			}
		})
	}
	t.Run("HTTP_2", func(t *testing.T) {
		f := newFront(t, ways[1], address, HTTPOptions{ClientCert: true})
		r := newRequest(t, "GET", f.url("/"), nil)
		r.Host = "site.example"
		for _, line := range lines {
			name, value, _ := strings.Cut(line, ": ")
			if plainName(name) != "transfer-encoding" && plainName(name) != "connection" {
				r.Header[name] = append(r.Header[name], value)
			}
		}
		send(t, f.client(t), r)
		for name, values := range *seen {
			if strings.Contains(fmt.Sprint(values), "6") && name != "Connection_" && name != "Host_" {
				t.Errorf("the backend saw %s: %q", name, values)
			}
		}
		if got := (*seen)["X-Forwarded-For"]; len(got) != 1 || got[0] != "127.0.0.1" {
			t.Errorf("X-Forwarded-For: %q", got)
		}
	})
}

// TestNotTLS: a request over a plain connection is refused.
func TestNotTLS(t *testing.T) {
	w := httptest.NewRecorder()
	NewHTTP(Target{"http", deadAddress(t)}, HTTPOptions{}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusBadRequest {
		t.Errorf("status %d", w.Code)
	}
}

// TestClientAddress: the backend gets the address without a port or zone, and IPv4 as IPv4.
func TestClientAddress(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:1234": "192.0.2.1", "[2001:db8::1]:1": "2001:db8::1", "[fe80::1%eth0]:1": "fe80::1", "[::ffff:192.0.2.1]:1": "192.0.2.1", "@": "",
	} {
		h := http.Header{}
		setForwarded(h, &http.Request{RemoteAddr: remote})
		if got := h.Get("X-Forwarded-For"); got != want {
			t.Errorf("%s: %q, want %q", remote, got, want)
		}
	}
}

// TestHopByHopRequest: headers for one connection are not passed on. A client cannot remove
// one of the proxy's headers by listing it in Connection.
func TestHopByHopRequest(t *testing.T) {
	address, seen := seenBy(t)
	f := newFront(t, ways[0], address, HTTPOptions{})
	f.raw(t, strings.Join([]string{
		"GET / HTTP/1.1", "Host: localhost", "Connection: keep-alive, X-Hop, x-forwarded-for", "Connection: X-Second,X-Forwarded-Proto", "X-Hop: 1", "X-Second: 1",
		"Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "Proxy-Authenticate: Basic", "Proxy-Authorization: Basic eDp5", "TE: gzip", "Trailer: X-T",
		"Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__", "Authorization: Basic eDp5", "", "",
	}, "\r\n"))
	want := http.Header{"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"localhost"}, "Authorization": {"Basic eDp5"}}
	if fmt.Sprint(*seen) != fmt.Sprint(want) {
		t.Errorf("the backend saw\n%v, want\n%v", *seen, want)
	}
}

// TestHopByHopResponse: headers for one connection are not passed on. net/http hides the
// names in Connection if it also has "close".
func TestHopByHopResponse(t *testing.T) {
	for name, c := range map[string]struct{ interim, status, connection string }{
		"kept":                       {"", "HTTP/1.1 200 OK", "X-Hop, keep-alive"},
		"closed":                     {"", "HTTP/1.1 200 OK", "x-hop , Close"},
		"closed, in two lines":       {"", "HTTP/1.1 200 OK", "X-Hop\r\nConnection: close"},
		"closed, after interim ones": {"HTTP/1.1 103 Early Hints\r\nConnection: X-Other\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 200 OK", "close, X-Hop"},
		"closed, HTTP_1.0":           {"", "HTTP/1.0 200 OK", "close, X-Hop"},
	} {
		backend := newRawBackend(t, func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 4<<10))
			_, _ = fmt.Fprint(conn, c.interim, strings.Join([]string{
				c.status, "Connection: " + c.connection, "X-Hop: 1", "Keep-Alive: timeout=5", "Proxy-Authenticate: Basic", "Proxy-Connection: close",
				"Upgrade: h2c", "Te: trailers", "Server: real", "Date: Thu, 01 Jan 1970 00:00:00 GMT", "Content-Length: 0", "", "",
			}, "\r\n"))
		})
		for _, w := range ways {
			t.Run(name+", "+w.name, func(t *testing.T) {
				f := newFront(t, w, backend, HTTPOptions{})
				response := send(t, f.client(t), newRequest(t, "GET", f.url("/"), nil))
				want := http.Header{"Server": {"real"}, "Date": {"Thu, 01 Jan 1970 00:00:00 GMT"}, "Content-Length": {"0"}}
				if fmt.Sprint(response.Header) != fmt.Sprint(want) {
					t.Errorf("the client saw\n%v, want\n%v", response.Header, want)
				}
			})
		}
	}
}

// TestConnectionHeader: data that is not an answer, or was cut off, names no headers.
func TestConnectionHeader(t *testing.T) {
	for head, want := range map[string]int{
		"": 0, "HTTP/1.1 200 OK": 0, "HTTP/1.1 200 OK\r\nConnection: close": 0, "HTTP/1.1 100 Continue\r\n\r\n": 0,
		"HTTP/1.1 200 OK\r\nConnection: a\r\nconnection: b\r\n\r\nConnection: c\r\n\r\n": 2,
	} {
		if got := connectionHeader([]byte(head)); len(got) != want {
			t.Errorf("%q: %q", head, got)
		}
	}
}
