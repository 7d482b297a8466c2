package proxy

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"
)

// TestBodies sends bodies with and without a length to a backend that echoes them.
func TestBodies(t *testing.T) {
	backend := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Length", fmt.Sprint(r.ContentLength, r.TransferEncoding))
		_, _ = w.Write(body)
	}
	overEachWay(t, backend, func(t *testing.T, f *front) {
		client := f.client(t)
		for _, size := range []int{0, 1, 500_000} {
			sent := make([]byte, size)
			_, _ = rand.Read(sent)
			for _, known := range []bool{true, false} {
				r := newRequest(t, "POST", f.url("/"), bytes.NewReader(sent))
				want := fmt.Sprint(size, []string(nil))
				if !known && size > 0 {
					r.ContentLength, want = -1, "-1 [chunked]"
				}
				response := send(t, client, r)
				if got := bodyOf(t, response); got != string(sent) {
					t.Errorf("sent %d bytes and got %d back, or different ones", size, len(got))
				}
				if got := response.Header.Get("X-Length"); got != want {
					t.Errorf("length and encoding at the backend: %s, want %s", got, want)
				}
			}
		}
	})
}

// TestStreams: each event reaches the other side before the next is sent, both ways.
func TestStreams(t *testing.T) {
	for _, kind := range []string{"text/event-stream", "application/octet-stream"} {
		backend := func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
			lines := bufio.NewScanner(r.Body)
			for lines.Scan() {
				_, _ = fmt.Fprintf(w, "echo %s\n", lines.Text())
				_ = http.NewResponseController(w).Flush()
			}
		}
		t.Run(strings.ReplaceAll(kind, "/", "_"), func(t *testing.T) {
			overEachWay(t, backend, func(t *testing.T, f *front) {
				body, write := io.Pipe()
				response := send(t, f.client(t), newRequest(t, "POST", f.url("/"), body))
				read := bufio.NewReader(response.Body)
				for i := range 5 {
					_, _ = fmt.Fprintln(write, i)
					if line, err := read.ReadString('\n'); err != nil || line != fmt.Sprintf("echo %d\n", i) {
						t.Fatalf("event %d: %q, %v", i, line, err)
					}
				}
				_ = write.Close()
				if rest, err := io.ReadAll(read); err != nil || len(rest) > 0 {
					t.Errorf("at the end: %q, %v", rest, err)
				}
			})
		})
	}
}

// TestKnownLengthIsFlushed: a part of an answer does not wait for the rest even if the
// length is known.
func TestKnownLengthIsFlushed(t *testing.T) {
	done := make(chan struct{})
	backend := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "first")
		_ = http.NewResponseController(w).Flush()
		<-done
		_, _ = io.WriteString(w, "other")
	}
	f := newFront(t, ways[0], newBackend(t, backend), HTTPOptions{})
	response := send(t, f.client(t), newRequest(t, "GET", f.url("/"), nil))
	part := make([]byte, 5)
	_, err := io.ReadFull(response.Body, part)
	close(done)
	if err != nil || string(part) != "first" || bodyOf(t, response) != "other" {
		t.Errorf("%q, %v", part, err)
	}
}

// TestTrailers: trailers pass in both directions, except reserved ones.
func TestTrailers(t *testing.T) {
	backend := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "X-Digest")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Digest", fmt.Sprint(r.Trailer))
		w.Header().Set(http.TrailerPrefix+"X-Unannounced", r.Header.Get("Te"))
	}
	overEachWay(t, backend, func(t *testing.T, f *front) {
		body, write := io.Pipe()
		r := newRequest(t, "POST", f.url("/"), body)
		r.Trailer = http.Header{"X-Sum": nil, "Client-Cert": nil, "X_forwarded_for": nil}
		r.Header.Set("Te", "trailers")
		go func() {
			_, _ = io.WriteString(write, "body")
			r.Trailer.Set("X-Sum", "42")
			r.Trailer.Set("Client-Cert", ":AAAA:")
			r.Trailer["X_forwarded_for"] = []string{"6.6.6.6"}
			_ = write.Close()
		}()
		response := send(t, f.client(t), r)
		if got := bodyOf(t, response); got != "body" {
			t.Errorf("%q", got)
		}
		if got := response.Trailer.Get("X-Digest"); got != "map[X-Sum:[42]]" {
			t.Errorf("the backend's trailers: %s", got)
		}
		if got := response.Trailer.Get("X-Unannounced"); got != "trailers" {
			t.Errorf("unannounced: %q in %v", got, response.Trailer)
		}
	})
}

// TestInformational: 103 passes, and 100 comes when the backend wants the body.
func TestInformational(t *testing.T) {
	backend := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/unwanted" {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		if r.Method == "GET" {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
		}
		body, _ := io.ReadAll(r.Body) // this sends a 100
		_, _ = fmt.Fprintf(w, "%s %s", r.Header.Get("Expect"), body)
	}
	overEachWay(t, backend, func(t *testing.T, f *front) {
		wants := map[string]string{"GET /": "200 [103]  ", "POST /": "200 [100] 100-continue body", "POST /unwanted": "413 [] "}
		if f.way.http2 { // net/http keeps the Expect of HTTP/2 to itself, and answers it
			wants = map[string]string{"GET /": "200 [103]  ", "POST /": "200 [100]  body", "POST /unwanted": "413 [100] "}
		}
		for request, want := range wants {
			method, path, _ := strings.Cut(request, " ")
			var codes []int
			trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
				codes = append(codes, code)
				return nil
			}}
			sent := &counter{Reader: strings.NewReader("body")}
			r := newRequest(t, method, f.url(path), nil)
			if method == "POST" {
				r.Body, r.ContentLength = io.NopCloser(sent), 4
				r.Header.Set("Expect", "100-continue")
			}
			r = r.WithContext(httptrace.WithClientTrace(r.Context(), trace))
			response := send(t, f.client(t), r)
			if got := fmt.Sprint(response.StatusCode, " ", codes, " ", bodyOf(t, response)); got != want {
				t.Errorf("%s: %s, want %s", request, got, want)
			}
			if path == "/unwanted" && !f.way.http2 && sent.n > 0 {
				t.Error("a body was sent that the backend did not want")
			}
		}
	})
}

type counter struct {
	io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

// TestEarlyAnswer: an answer that comes before the end of the body does not wait for the
// rest, and the connection carries nothing after it.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	backend, _ := newRecorder(t, true)
	f := newFront(t, ways[0], backend, HTTPOptions{})
	conn := f.dial(t)
	begun := time.Now()
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nthe first bytes")
	r := bufio.NewReader(conn)
	response := readResponse(t, r, "POST")
	if response.StatusCode != 200 || !response.Close {
		t.Errorf("%s, %v", response.Status, response.Header)
	}
	if took := time.Since(begun); took > limit/2 {
		t.Errorf("it took %v", took)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	if rest, err := io.ReadAll(r); len(rest) > 0 || isTimeout(err) {
		t.Errorf("after it: %q, %v", rest, err)
	}
}
