package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// newAnswering returns a backend that reads a header, sends an answer and closes.
func newAnswering(t *testing.T, say string) string {
	t.Helper()
	return newRawBackend(t, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			_, _ = io.WriteString(conn, say)
		}
	})
}

// TestBackendFails: each failure has its own status, a page that reveals nothing about the
// backend, and a log line that quotes nothing that was sent.
func TestBackendFails(t *testing.T) {
	hang := newRawBackend(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	reset := newRawBackend(t, func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) })
	const secret = "hunter2"
	for name, c := range map[string]struct {
		address string
		status  int
		logged  string
	}{
		"refuses":        {deadAddress(t), 502, "connection refused"},
		"too far":        {hang, 502, "i/o timeout"},
		"no route":       {"255.255.255.255:80", 502, "unreachable"},
		"no such name":   {"no..such..name:80", 502, "no such host"},
		"resets":         {reset, 502, "re"}, // "connection reset", or "it closed the connection", which a retry meets
		"closes":         {newAnswering(t, ""), 502, "it closed the connection"},
		"slow":           {hang, 504, "no answer within the time limit"},
		"no HTTP":        {newAnswering(t, "SSH-2.0-"+secret+"\r\n"), 502, "not HTTP"},
		"a bad header":   {newAnswering(t, "HTTP/1.1 200 OK\r\n"+secret+"\r\n\r\n"), 502, "not HTTP"},
		"a large header": {newAnswering(t, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat(secret, 20_000)+"\r\n\r\n"), 502, "its header is too large"},
		"half a header":  {newAnswering(t, "HTTP/1.1 200 OK\r\nX: "+secret), 502, "it closed the connection"},
		"two lengths":    {newAnswering(t, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\nX: "+secret+"\r\n\r\nxx"), 502, "not HTTP"},
	} {
		for _, w := range ways {
			t.Run(name+", "+w.name, func(t *testing.T) {
				options := HTTPOptions{}
				switch name {
				case "slow":
					options.ResponseTimeout = 50 * time.Millisecond
				case "too far":
					options.DialTimeout = time.Nanosecond
				}
				f := newFront(t, w, c.address, options)
				response := send(t, f.client(t), newRequest(t, "GET", f.url("/"+secret+"?"+secret), nil))
				page := bodyOf(t, response)
				host, port, _ := net.SplitHostPort(c.address)
				if response.StatusCode != c.status || !strings.HasPrefix(page, fmt.Sprint(c.status, " ")) || len(page) > 200 {
					t.Errorf("%s: %q", response.Status, page)
				}
				if all := fmt.Sprint(page, response.Header); strings.Contains(all, host) || strings.Contains(all, port) || strings.Contains(all, secret) {
					t.Errorf("the answer names the backend, or more: %s", all)
				}
				if log := f.log.String(); !strings.Contains(log, c.logged) || !strings.Contains(log, "WARN") || strings.Contains(log, secret) {
					t.Errorf("the log is %s; want %q", log, c.logged)
				}
			})
		}
	}
}

// TestBackendResetsBody: if the backend resets the connection during a body, the backend is
// blamed, not the body.
func TestBackendResetsBody(t *testing.T) {
	reset := newRawBackend(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 100))
		_ = conn.(*net.TCPConn).SetLinger(0)
	})
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			f := newFront(t, w, reset, HTTPOptions{})
			body, write := io.Pipe()
			defer write.Close()
			go func() {
				for { // until the request is over
					if _, err := write.Write(make([]byte, 16<<10)); err != nil {
						return
					}
					time.Sleep(time.Millisecond)
				}
			}()
			response := send(t, f.client(t), newRequest(t, "POST", f.url("/"), body))
			if got := bodyOf(t, response); response.StatusCode != http.StatusBadGateway {
				t.Errorf("%s: %s", response.Status, got)
			}
			if log := f.log.String(); !strings.Contains(log, "the backend fails") {
				t.Errorf("the log is %s", log)
			}
		})
	}
}

// TestAnswerBreaksOff: an incomplete answer does not look complete to the client.
func TestAnswerBreaksOff(t *testing.T) {
	for name, say := range map[string]string{
		"of known length": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
		"in chunks":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
		"in bad chunks":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nhunter2\r\n",
	} {
		address := newAnswering(t, say)
		for _, w := range ways {
			t.Run(name+", "+w.name, func(t *testing.T) {
				f := newFront(t, w, address, HTTPOptions{})
				response, err := f.client(t).Do(newRequest(t, "GET", f.url("/"), nil))
				if err == nil { // otherwise the header was not sent either
					_, err = io.ReadAll(response.Body)
					_ = response.Body.Close()
				}
				if err == nil {
					t.Error("the client does not notice that the answer is incomplete")
				}
				if log := f.log.String(); !strings.Contains(log, "broke off") || strings.Contains(log, "hunter2") {
					t.Errorf("the log is %s", log)
				}
			})
		}
	}
}

// TestClientLeaves: the backend notices that the client leaves, and is not blamed for it.
func TestClientLeaves(t *testing.T) {
	came, left := make(chan struct{}), make(chan struct{})
	backend := newBackend(t, func(_ http.ResponseWriter, r *http.Request) {
		came <- struct{}{}
		<-r.Context().Done()
		left <- struct{}{}
	})
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			f := newFront(t, w, backend, HTTPOptions{})
			client := f.client(t)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-came
				cancel()
			}()
			if _, err := client.Do(newRequest(t, "GET", f.url("/"), nil).WithContext(ctx)); err == nil {
				t.Error("the client got an answer")
			}
			select {
			case <-left:
			case <-time.After(limit):
				t.Error("the backend did not notice")
			}
			if log := f.log.String(); log != "" {
				t.Errorf("the log is %s", log)
			}
		})
	}
}

// TestNoRetry: a POST whose connection breaks is not sent again, but a GET over a kept
// connection that breaks at once is.
func TestNoRetry(t *testing.T) {
	for method, want := range map[string]int{"POST": 502, "GET": 200} {
		t.Run(method, func(t *testing.T) {
			requests := make(chan string, 10)
			backend := newRawBackend(t, func(conn net.Conn) {
				r := bufio.NewReader(conn)
				for first := true; ; first = false {
					request, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, request.Body)
					requests <- request.Method
					if !first {
						return
					}
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			})
			f := newFront(t, ways[0], backend, HTTPOptions{})
			client := f.client(t)
			send(t, client, newRequest(t, "GET", f.url("/"), nil))
			var body io.Reader
			if method == "POST" {
				body = strings.NewReader("once")
			}
			if response := send(t, client, newRequest(t, method, f.url("/"), body)); response.StatusCode != want {
				t.Errorf("%s, want %d", response.Status, want)
			}
			seen := len(requests)
			if wanted := map[int]int{502: 2, 200: 3}[want]; seen != wanted {
				t.Errorf("the backend saw %d requests, want %d", seen, wanted)
			}
		})
	}
}

// TestWarnings: at most one line a second, which counts the omitted failures.
func TestWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := &logLines{}
		w := newWarnings(testLogger(lines), Target{"tcp", "h:1"})
		for range 35 {
			w.warn("it fails", "why")
			time.Sleep(100 * time.Millisecond)
		}
		if got := strings.Count(lines.String(), "\n"); got != 4 || strings.Count(lines.String(), "omitted=9") != 3 || !strings.Contains(lines.String(), "backend=tcp://h:1 cause=why omitted=0") {
			t.Errorf("%d lines:\n%s", got, lines)
		}
	})
}

func TestReason(t *testing.T) {
	op := &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset")}
	for err, want := range map[error]string{
		fmt.Errorf("body: %w", op):                       "read tcp: connection reset",
		io.ErrUnexpectedEOF:                              "it closed the connection",
		errors.New("malformed HTTP response \"hunter\""): "its answer is not HTTP, or its header is too large",
	} {
		if got := reason(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
