package main

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testsecrets"
)

// TestSlowReader: a client that reads slowly but steadily is not cut off, however
// large the answer. Here all is a hundred times as fast as with 2 KB/s and the
// default limit.
func TestSlowReader(t *testing.T) {
	for name, h2 := range map[string]bool{"HTTP_1.1": false, "HTTP_2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cut := make(chan struct{})
			backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				defer close(cut)
				for {
					if _, err := w.Write(make([]byte, 64<<10)); err != nil {
						return
					}
				}
			}))
			defer backend.Close()
			l := defaultLimits
			l.write /= 100
			r := startServer(t, l, to(t, backend.URL))
			response := getSlowly(t, r.url, h2)
			defer response.Body.Close()
			go func() { _, _ = io.Copy(io.Discard, response.Body) }()
			select {
			case <-cut:
				t.Error("the client was cut off")
			case <-time.After(3 * l.write):
			}
		})
	}
}

// getSlowly returns the beginning of an answer whose rest comes over a slowConn.
func getSlowly(t *testing.T, url string, h2 bool) *http.Response {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, KeyLogWriter: testsecrets.KeyLog()},
		ForceAttemptHTTP2: h2,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			return slowConn{conn}, err
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	response, err := (&http.Client{Transport: transport}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.HasPrefix(response.Proto, "HTTP/2"); got != h2 || response.StatusCode != http.StatusOK {
		t.Fatalf("%s over %s", response.Status, response.Proto)
	}
	return response
}

// A slowConn reads 200 KB/s.
type slowConn struct{ net.Conn }

func (c slowConn) Read(p []byte) (int, error) {
	time.Sleep(50 * time.Millisecond)
	return c.Conn.Read(p[:min(len(p), 10<<10)])
}
