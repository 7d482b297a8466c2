package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"crypto/x509"

	"github.com/halfshake/halfshake/internal/testca"
)

const (
	crowd      = 1000            // connections at a time
	crowdLimit = 2 * time.Minute // for all of them to be made, on a busy machine
)

// certificateFiles writes a certificate for localhost and its key.
func certificateFiles(t *testing.T) (cert, key string) {
	t.Helper()
	pair := testca.Root("to", testca.ECDSA).Server("localhost")
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// A thousand requests are at a real HTTP backend when SIGTERM comes: each gets its
// whole answer.
func TestNoRequestIsLost(t *testing.T) {
	var arrived atomic.Int64
	all := make(chan struct{})
	release := sync.OnceFunc(func() { close(all) })
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if arrived.Add(1) == crowd {
			release()
		}
		<-all
		time.Sleep(300 * time.Millisecond) // SIGTERM comes meanwhile
		fmt.Fprintf(w, "%s from %s over %s", r.URL.Path, r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"))
	}))
	defer backend.Close()
	defer release() // whatever fails, the backend can end
	cert, key := certificateFiles(t)
	server := serveProcess(t, "--store", "memory:", "--cert", cert, "--key", key, "--to", backend.URL, "--drain", "30s")
	var clients sync.WaitGroup
	var lost atomic.Int64
	for i := range crowd {
		clients.Go(func() {
			path := fmt.Sprintf("/request/%d", i)
			if answer, err := fetch(server.addr, path); err != nil || answer != path+" from 127.0.0.1 over https" {
				if lost.Add(1) == 1 {
					t.Errorf("%s: %q, %v", path, answer, err)
				}
			}
		})
	}
	select {
	case <-all:
	case <-time.After(crowdLimit):
		t.Fatalf("%d of %d requests arrived", arrived.Load(), crowd)
	}
	server.terminate(t)
	clients.Wait()
	if n := lost.Load(); n > 0 {
		t.Errorf("%d of %d requests in flight were lost", n, crowd)
	}
}

// door lets some of the crowd in at a time: a handshake has ten seconds, which a
// thousand at once would not have under the race detector.
var door = make(chan struct{}, 20)

// enter makes a connection.
func enter(addr string, version uint16) (*tls.Conn, error) {
	door <- struct{}{}
	defer func() { <-door }()
	return tls.Dial("tcp", addr, newJar(version))
}

// fetch makes one request over a connection of its own.
func fetch(addr, path string) (string, error) {
	dial := func(context.Context, string, string) (net.Conn, error) { return enter(addr, tls.VersionTLS13) }
	web := &http.Client{Timeout: 2 * crowdLimit, Transport: &http.Transport{DialTLSContext: dial, DisableKeepAlives: true}}
	response, err := web.Get("https://" + addr + path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// A thousand clients talk to a real redis-server when SIGTERM comes: whoever has
// sent a command gets its answer, and can say goodbye.
func TestNoCommandIsLost(t *testing.T) {
	redis := startRedis(t)
	cert, key := certificateFiles(t)
	server := serveProcess(t, "--store", "memory:", "--cert", cert, "--key", key, "--to", "tcp://"+redis, "--drain", "30s")
	var ready, clients sync.WaitGroup
	var lost atomic.Int64
	stopping := make(chan struct{})
	for i := range crowd {
		ready.Add(1)
		clients.Go(func() {
			if err := converse(server.addr, i, &ready, stopping); err != nil && lost.Add(1) == 1 {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	ready.Wait()
	if err := server.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	server.await(t, `msg=(stopping) `)
	close(stopping)
	clients.Wait()
	server.expectEnd(t)
	if n := lost.Load(); n > 0 {
		t.Errorf("%d of %d conversations were cut off", n, crowd)
	}
}

// converse sets a key, waits until the server is stopping, and reads the key again.
func converse(addr string, i int, ready *sync.WaitGroup, stopping <-chan struct{}) error {
	conn, err := enter(addr, tls.VersionTLS12+uint16(i%2))
	if err != nil {
		ready.Done()
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * crowdLimit))
	in := bufio.NewReader(conn)
	say := func(command, want string) error {
		if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
			return err
		}
		got, err := in.ReadString('\n')
		if err == nil && strings.HasPrefix(got, "$") {
			got, err = in.ReadString('\n')
		}
		if err == nil && strings.TrimPrefix(strings.TrimSpace(got), "+") != want {
			err = fmt.Errorf("%s: %q", command, got)
		}
		return err
	}
	err = say(fmt.Sprintf("SET key%d value%d", i, i), "OK")
	ready.Done()
	if err != nil {
		return err
	}
	<-stopping
	if err := say(fmt.Sprintf("GET key%d", i), fmt.Sprintf("value%d", i)); err != nil {
		return err
	}
	return say("QUIT", "OK")
}

// startRedis returns the address of a redis-server that ends with the test.
func startRedis(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	runPeer(t, addr, "redis-server", "the Debian package redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", t.TempDir(), "--maxclients", "2000")
	return addr
}
