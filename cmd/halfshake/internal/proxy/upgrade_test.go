package proxy

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"
)

const upgradeRequest = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

// newEcho returns a WebSocket server that echoes messages.
func newEcho(t *testing.T) string {
	t.Helper()
	return newBackend(t, websocket.Server{Handler: func(conn *websocket.Conn) {
		var message string
		for websocket.Message.Receive(conn, &message) == nil && websocket.Message.Send(conn, message) == nil {
		}
	}}.ServeHTTP)
}

func dialWebSocket(t *testing.T, f *front) *websocket.Conn {
	t.Helper()
	config, err := websocket.NewConfig("wss://"+f.addr+"/ws", "https://localhost")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := websocket.NewClient(config, f.dial(t))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// say sends a message and expects it back.
func say(conn *websocket.Conn, text string) error {
	if err := websocket.Message.Send(conn, text); err != nil {
		return err
	}
	var got string
	if err := websocket.Message.Receive(conn, &got); err != nil {
		return err
	}
	if got != text {
		return fmt.Errorf("%d bytes came back as %d", len(text), len(got))
	}
	return nil
}

// TestWebSocket: a WebSocket works, and outlives the server's timeouts.
func TestWebSocket(t *testing.T) {
	t.Parallel()
	echo := newEcho(t)
	for _, w := range http1Ways() {
		t.Run(w.name, func(t *testing.T) {
			f := newFront(t, w, echo, HTTPOptions{StallTimeout: 100 * time.Millisecond, WriteTimeout: 100 * time.Millisecond}, shortTimeouts)
			conn := dialWebSocket(t, f)
			for range 3 {
				for _, text := range []string{"a", strings.Repeat("b", 200_000)} {
					if err := say(conn, text); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(300 * time.Millisecond)
			}
		})
	}
}

// shortTimeouts are timeouts that a long exchange outlives.
func shortTimeouts(s *http.Server, _ *tls.Config) {
	s.ReadTimeout, s.WriteTimeout, s.IdleTimeout = 700*time.Millisecond, 700*time.Millisecond, 700*time.Millisecond
}

// newSwitcher returns a backend that switches protocols and then calls a function.
func newSwitcher(t *testing.T, protocol string, then func(*net.TCPConn, *bufio.Reader)) string {
	t.Helper()
	return newRawBackend(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		if _, err := http.ReadRequest(r); err == nil {
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nX-More: 1\r\n\r\n", protocol)
			then(conn.(*net.TCPConn), r)
		}
	})
}

// TestUpgradeHalfClose: each side's end reaches the other side, which may still send. Data
// that the client sends before the answer is not lost.
func TestUpgradeHalfClose(t *testing.T) {
	for _, w := range http1Ways() {
		t.Run(w.name+", the client first", func(t *testing.T) {
			backend := newSwitcher(t, "WebSocket", func(conn *net.TCPConn, r *bufio.Reader) {
				all, _ := io.ReadAll(r)
				_, _ = fmt.Fprintf(conn, "got %s", all)
			})
			conn := newFront(t, w, backend, HTTPOptions{}).dial(t)
			_, _ = io.WriteString(conn, upgradeRequest+"early")
			r := bufio.NewReader(conn)
			if response := readResponse(t, r, "GET"); response.StatusCode != 101 || response.Header.Get("X-More") != "1" {
				t.Fatalf("%s, %v", response.Status, response.Header)
			}
			_, _ = io.WriteString(conn, " and late")
			_ = conn.CloseWrite()
			if all, err := io.ReadAll(r); err != nil || string(all) != "got early and late" {
				t.Errorf("%q, %v", all, err)
			}
		})
		t.Run(w.name+", the backend first", func(t *testing.T) {
			got := make(chan string, 1)
			backend := newSwitcher(t, "websocket", func(conn *net.TCPConn, r *bufio.Reader) {
				_, _ = io.WriteString(conn, "bye")
				_ = conn.CloseWrite()
				all, _ := io.ReadAll(r)
				got <- string(all)
			})
			conn := newFront(t, w, backend, HTTPOptions{}).dial(t)
			_, _ = io.WriteString(conn, upgradeRequest)
			r := bufio.NewReader(conn)
			readResponse(t, r, "GET")
			if all, err := io.ReadAll(r); err != nil || string(all) != "bye" {
				t.Errorf("%q, %v", all, err)
			}
			_, _ = io.WriteString(conn, "still here")
			_ = conn.CloseWrite()
			if all := <-got; all != "still here" {
				t.Errorf("the backend read %q", all)
			}
		})
	}
}

// TestOtherUpgrades: h2c would carry requests past the proxy's checks. A request for h2c, or
// for any upgrade other than a plain WebSocket, is passed on without the upgrade.
func TestOtherUpgrades(t *testing.T) {
	for name, request := range map[string]string{
		"h2c":         strings.Replace(upgradeRequest, "websocket", "h2c", 1),
		"two":         strings.Replace(upgradeRequest, "websocket", "websocket, h2c", 1),
		"two headers": strings.Replace(upgradeRequest, "Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: h2c", 1),
		"POST":        strings.Replace(upgradeRequest, "GET", "POST", 1),
		"a body":      strings.Replace(upgradeRequest, "\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nok", 1),
	} {
		t.Run(name, func(t *testing.T) {
			address, seen := seenBy(t)
			f := newFront(t, ways[0], address, HTTPOptions{})
			if response := f.raw(t, request); response.StatusCode != 200 || (*seen)["Upgrade"] != nil || (*seen)["Connection"] != nil {
				t.Errorf("%s; the backend saw %v", response.Status, *seen)
			}
		})
		t.Run(name+", insisted upon", func(t *testing.T) {
			ended := make(chan error, 1)
			backend := newSwitcher(t, "h2c", func(_ *net.TCPConn, r *bufio.Reader) {
				_, err := r.ReadByte()
				ended <- err
			})
			f := newFront(t, ways[0], backend, HTTPOptions{})
			if response := f.raw(t, request); response.StatusCode != 502 {
				t.Error(response.Status)
			}
			if name == "a body" {
				return // which the backend may read
			}
			select {
			case err := <-ended:
				if err == nil {
					t.Error("the backend could read on")
				}
			case <-time.After(limit):
				t.Error("the connection to the backend stays open")
			}
		})
	}
	t.Run("another than was asked for", func(t *testing.T) {
		backend := newSwitcher(t, "h2c", func(*net.TCPConn, *bufio.Reader) {})
		if response := newFront(t, ways[0], backend, HTTPOptions{}).raw(t, upgradeRequest); response.StatusCode != 502 {
			t.Error(response.Status)
		}
	})
	t.Run("refused", func(t *testing.T) {
		address, _ := seenBy(t)
		if response := newFront(t, ways[0], address, HTTPOptions{}).raw(t, upgradeRequest); response.StatusCode != 200 {
			t.Error(response.Status)
		}
	})
}

// TestUpgradeIdle: an idle WebSocket is closed with a close_notify. A WebSocket in use is
// not closed.
func TestUpgradeIdle(t *testing.T) {
	t.Parallel()
	echo := newEcho(t)
	for _, w := range http1Ways() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, w, echo, HTTPOptions{IdleTimeout: time.Second})
			conn := dialWebSocket(t, f)
			for range 12 {
				time.Sleep(100 * time.Millisecond)
				if err := say(conn, "still here"); err != nil {
					t.Fatal(err)
				}
			}
			begun := time.Now()
			if _, err := conn.Read(make([]byte, 1)); err != io.EOF || time.Since(begun) > limit/2 {
				t.Errorf("%v after %v", err, time.Since(begun))
			}
		})
	}
}
