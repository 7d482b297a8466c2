package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestShutdownLosesNothing stops the server while a thousand clients, half over each
// engine, have requests in progress. Every request that the backend accepted gets its whole
// answer.
func TestShutdownLosesNothing(t *testing.T) {
	const clients = 1000
	const page = 40_000
	var accepted atomic.Int32
	proceed, release := newGateway(t)
	backend := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		accepted.Add(1)
		<-proceed
		_, _ = io.WriteString(w, strings.Repeat(r.URL.Path[1:2], page))
	})
	var fronts []*front
	var configs []*tls.Config // clients resume, because a thousand full handshakes take long
	for _, w := range http1Ways() {
		fronts = append(fronts, newFront(t, w, backend, HTTPOptions{ResponseTimeout: -1, StallTimeout: -1, WriteTimeout: -1}))
		configs = append(configs, clientConfig(w.version))
	}
	var whole atomic.Int32
	var work sync.WaitGroup
	slots := make(chan struct{}, 16) // concurrent handshakes, few enough that none times out
	for i := range clients {
		work.Go(func() {
			if err := requestOnce(fronts[i%len(fronts)].addr, configs[i%len(fronts)], slots, page); err != nil {
				t.Errorf("client %d: %v", i, err)
				return
			}
			whole.Add(1)
		})
	}
	eventually(t, patience, "a thousand requests at the backend", func() bool { return accepted.Load() == clients })
	stopped := make(chan error, len(fronts))
	for _, f := range fronts {
		go func() { stopped <- f.stop(patience) }()
	}
	time.Sleep(100 * time.Millisecond)
	release()
	work.Wait()
	for range fronts {
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	}
	if whole.Load() != clients {
		t.Errorf("%d of %d answers", whole.Load(), clients)
	}
}

// requestOnce makes a connection and reads one whole answer. It does not use net/http,
// because making a thousand transports is slow.
func requestOnce(addr string, config *tls.Config, slots chan struct{}, page int) error {
	slots <- struct{}{}
	conn, err := tls.Dial("tcp", addr, config)
	<-slots
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != 200 || len(body) != page) {
		return fmt.Errorf("%s, %d bytes", response.Status, len(body))
	}
	return err
}

// newGateway returns a channel that is closed by release, and by the test's end.
func newGateway(t *testing.T) (closed <-chan struct{}, release func()) {
	gate := make(chan struct{})
	release = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	return gate, release
}

func TestGroup(t *testing.T) {
	var g group
	leave, ok := g.enter(func() { t.Error("a member that leaves was cut off") })
	if !ok {
		t.Fatal("an empty group takes no member")
	}
	drained := make(chan error)
	go func() { drained <- g.drain(t.Context()) }()
	eventually(t, limit, "the group refuses", func() bool {
		late, ok := g.enter(func() {})
		if ok {
			late()
		}
		return !ok
	})
	leave()
	if err := <-drained; err != nil {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.drain(ended); err != nil {
		t.Errorf("a second drain: %v", err)
	}
}

func TestGroupCuts(t *testing.T) {
	var g group
	cut := make(chan struct{}, 2)
	for range 2 {
		leave, _ := g.enter(func() { cut <- struct{}{} })
		go func() {
			<-cut
			leave()
		}()
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.drain(ended); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestServeEnds calls Serve with an unusable listener, and Shutdown twice.
func TestServeEnds(t *testing.T) {
	l := listen(t)
	p := NewTCP(Target{"tcp", deadAddress(t)}, TCPOptions{})
	_ = l.Close()
	if err := p.Serve(l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed listener: %v", err)
	}
	for range 2 {
		if err := p.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	late := listen(t)
	if err := p.Serve(late); err != nil {
		t.Error(err)
	}
	if _, err := late.Accept(); err == nil {
		t.Error("after Shutdown, Serve leaves a listener open")
	}
}
