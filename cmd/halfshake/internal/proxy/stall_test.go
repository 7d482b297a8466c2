package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestLongExchange: a body and an answer may take longer than the server's timeouts, and
// than StallTimeout or WriteTimeout, as long as data keeps coming. They arrive whole,
// although the backend pauses before and within the answer.
func TestLongExchange(t *testing.T) {
	t.Parallel()
	const parts = 12
	backend := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		time.Sleep(1200 * time.Millisecond)
		for i := range parts {
			if i == parts/2 {
				time.Sleep(1200 * time.Millisecond)
			}
			_, _ = fmt.Fprintf(w, "%d,", len(body))
			_ = http.NewResponseController(w).Flush()
			time.Sleep(100 * time.Millisecond)
		}
	}
	address := newBackend(t, backend)
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, w, address, HTTPOptions{StallTimeout: time.Second, WriteTimeout: time.Second}, shortTimeouts)
			body, write := io.Pipe()
			go func() {
				for range parts {
					_, _ = io.WriteString(write, "x")
					time.Sleep(100 * time.Millisecond)
				}
				_ = write.Close()
			}()
			response := send(t, f.client(t), newRequest(t, "POST", f.url("/"), body))
			if got := bodyOf(t, response); got != strings.Repeat("12,", parts) {
				t.Errorf("%q", got)
			}
		})
	}
}

// TestStalledBody: a client that stops sending its body gets status 408.
func TestStalledBody(t *testing.T) {
	t.Parallel()
	cancelled := make(chan struct{}, 10)
	address := newBackend(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancelled <- struct{}{}
	})
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			f := newFront(t, w, address, HTTPOptions{StallTimeout: 150 * time.Millisecond})
			body, write := io.Pipe()
			defer write.Close()
			go func() { _, _ = io.WriteString(write, "part") }()
			response := send(t, f.client(t), newRequest(t, "POST", f.url("/"), body))
			if got := bodyOf(t, response); response.StatusCode != http.StatusRequestTimeout {
				t.Errorf("%s: %s", response.Status, got)
			}
			<-cancelled
			if log := f.log.String(); log != "" {
				t.Errorf("the log is %s", log)
			}
		})
	}
}

// TestStalledReader: a client that does not read its answer does not hold up the backend.
func TestStalledReader(t *testing.T) {
	ended := make(chan struct{}, 10)
	address := newBackend(t, func(w http.ResponseWriter, _ *http.Request) {
		defer func() { ended <- struct{}{} }()
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			f := newFront(t, w, address, HTTPOptions{WriteTimeout: 150 * time.Millisecond})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			send(t, f.client(t), newRequest(t, "GET", f.url("/"), nil).WithContext(ctx))
			select {
			case <-ended:
			case <-time.After(limit):
				t.Error("the backend is still sending")
			}
		})
	}
}

// TestStalledAfterAnswer: the server's work after the handler has a time limit too.
func TestStalledAfterAnswer(t *testing.T) {
	t.Parallel()
	address, _ := newRecorder(t, true)
	for _, w := range http1Ways() {
		t.Run(w.name, func(t *testing.T) {
			f := newFront(t, w, address, HTTPOptions{})
			conn := f.dial(t)
			_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
			r := bufio.NewReader(conn)
			begun := time.Now()
			_ = bodyOf(t, readResponse(t, r, "POST"))
			if _, err := r.ReadByte(); err == nil || isTimeout(err) || time.Since(begun) > limit/2 {
				t.Errorf("%v after %v", err, time.Since(begun))
			}
		})
	}
}
