package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// newBackend serves a handler over plain HTTP and returns its address.
func newBackend(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	backend := httptest.NewServer(handler)
	t.Cleanup(backend.Close)
	return backend.Listener.Addr().String()
}

// newRawBackend passes each connection to a function, and then closes it.
func newRawBackend(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l := listen(t)
	var work sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			work.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, conn := range open {
			_ = conn.Close()
		}
		mu.Unlock()
		work.Wait()
	})
	return l.Addr().String()
}

// newRecorder returns a backend that keeps all that it reads. It answers each request after
// the body or, if early, after the header.
func newRecorder(t *testing.T, early bool) (address string, seen func() string) {
	t.Helper()
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	all := &logLines{}
	return newRawBackend(t, func(conn net.Conn) {
		r := bufio.NewReader(io.TeeReader(conn, all))
		for {
			request, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if early {
				_, _ = io.WriteString(conn, answer)
			}
			if _, err := io.Copy(io.Discard, request.Body); err != nil {
				return
			}
			if !early {
				_, _ = io.WriteString(conn, answer)
			}
		}
	}), all.String
}

// deadAddress returns an address where no process listens.
func deadAddress(t *testing.T) string {
	t.Helper()
	l := listen(t)
	defer l.Close()
	return l.Addr().String()
}
