package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestDrainWaitsForWebSockets: Drain returns when the last WebSocket has ended by itself.
func TestDrainWaitsForWebSockets(t *testing.T) {
	for _, w := range http1Ways() {
		t.Run(w.name, func(t *testing.T) {
			f := newFront(t, w, newEcho(t), HTTPOptions{})
			conn := dialWebSocket(t, f)
			stopped := make(chan error, 1)
			go func() { stopped <- f.stop(limit) }()
			for range 5 {
				time.Sleep(20 * time.Millisecond)
				if err := say(conn, "still here"); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case <-stopped:
				t.Fatal("Drain did not wait")
			default:
			}
			_ = conn.Close()
			if err := <-stopped; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDrainCutsWebSocketsOff: when its context ends, Drain cuts off WebSockets, including
// one whose client does not read.
func TestDrainCutsWebSocketsOff(t *testing.T) {
	for _, w := range http1Ways() {
		t.Run(w.name, func(t *testing.T) {
			flood := newSwitcher(t, "websocket", func(conn *net.TCPConn, _ *bufio.Reader) {
				for {
					if _, err := conn.Write(make([]byte, 64<<10)); err != nil {
						return
					}
				}
			})
			f := newFront(t, w, flood, HTTPOptions{})
			for range 3 {
				conn := f.dial(t)
				_, _ = io.WriteString(conn, upgradeRequest)
				readResponse(t, bufio.NewReader(conn), "GET")
			}
			time.Sleep(100 * time.Millisecond) // until the buffers are full
			begun := time.Now()
			if err := f.stop(50 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			if took := time.Since(begun); took > limit/5 {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// TestDrainCutsRequestsOff: Drain cuts off a request that the backend does not answer, one
// whose client does not read the answer, and one whose body does not arrive.
func TestDrainCutsRequestsOff(t *testing.T) {
	address := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		for r.URL.Path == "/flood" {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	for _, w := range ways {
		t.Run(w.name+", by Drain alone", func(t *testing.T) {
			f := newFront(t, w, address, HTTPOptions{StallTimeout: -1, WriteTimeout: -1, ResponseTimeout: -1})
			cutOff(t, f, limit, func() error { // crypto/tls allows 5 s for sending a close_notify
				short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
				defer cancel()
				return f.proxy.Drain(short)
			})
			if response := send(t, f.client(t), newRequest(t, "GET", f.url("/"), nil)); response.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("after Drain: %s", response.Status)
			}
		})
		t.Run(w.name+", after Close", func(t *testing.T) {
			f := newFront(t, w, address, HTTPOptions{StallTimeout: -1, WriteTimeout: -1, ResponseTimeout: -1})
			cutOff(t, f, limit/4, func() error {
				_ = f.stop(50 * time.Millisecond)
				return context.DeadlineExceeded // or nil, if Close ended them first
			})
		})
	}
}

// cutOff starts three requests, and checks that stop ends them soon.
func cutOff(t *testing.T, f *front, soon time.Duration, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	body, write := io.Pipe()
	client := f.client(t)
	answered := make(chan error, 2)
	for _, r := range []*http.Request{newRequest(t, "GET", f.url("/"), nil), newRequest(t, "POST", f.url("/"), body)} {
		go func() {
			_, err := client.Do(r)
			answered <- err
		}()
	}
	send(t, client, newRequest(t, "GET", f.url("/flood"), nil).WithContext(ctx))
	eventually(t, limit, "three requests under way", func() bool { return f.proxy.running.size() == 3 })
	begun := time.Now()
	if err := stop(); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if took := time.Since(begun); took > soon || f.proxy.running.size() > 0 {
		t.Errorf("after %v, %d exchanges are left", took, f.proxy.running.size())
	}
	_ = write.Close() // net/http's client waits for its own reader
	for range 2 {
		if err := <-answered; err == nil {
			t.Error("a request that was cut off got an answer")
		}
	}
}

func (g *group) size() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.members)
}
