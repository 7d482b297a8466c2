package halfshake

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testleaks"
	"github.com/halfshake/halfshake/internal/testsecrets"
)

// idListener is a listener with session ids on loopback.
func idListener(t testing.TB, c *Cache, config *tls.Config) net.Listener {
	t.Helper()
	l := must(c.NewListener(must(net.Listen("tcp", "127.0.0.1:0"))(t), config))(t)
	t.Cleanup(func() { l.Close() })
	return l
}

// accepting accepts and handshakes until the listener is closed; done counts the
// connections that completed.
func accepting(l net.Listener, done *atomic.Int64) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		go func() {
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			if conn.(handshaker).HandshakeContext(context.Background()) == nil {
				done.Add(1)
				conn.Write([]byte{1})
				io.Copy(io.Discard, conn)
			}
		}()
	}
}

// A client that sends a ClientHello and falls silent is closed too, under net/http
// as well, which asks a connection that is not a *tls.Conn for its state before it
// sets any deadline.
func TestSilentAfterHello(t *testing.T) {
	c := newCache(t, Config{SessionIDs: SessionIDsAlways})
	l := idListener(t, c, serverConfig())
	server := &http.Server{ErrorLog: log.New(testsecrets.LogWriter(), "", 0)}
	go server.Serve(l)
	defer server.Close()
	conn := must(net.Dial("tcp", l.Addr().String()))(t)
	defer conn.Close()
	conn.Write(helloWithTicket(nil))
	conn.SetReadDeadline(time.Now().Add(handshakeTimeout12 + 10*time.Second))
	if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
		t.Error("the connection is still open")
	}
}

// Close ends the listener's goroutines and the connections that nobody accepted.
func TestCloseHelloListener(t *testing.T) {
	c := newCache(t, Config{SessionIDs: SessionIDsAlways})
	l := idListener(t, c, serverConfig())
	silent, whole := must(net.Dial("tcp", l.Addr().String()))(t), must(net.Dial("tcp", l.Addr().String()))(t)
	whole.Write(helloWithTicket(nil))
	accepting := make(chan error, 1)
	time.Sleep(100 * time.Millisecond)
	must(l.Accept())(t).Close() // the whole one
	go func() { _, err := l.Accept(); accepting <- err }()
	started := time.Now()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if waited := time.Since(started); waited >= helloTimeout {
		t.Errorf("Close waited %v for a client that says nothing", waited)
	}
	if err := <-accepting; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	listenerEnds(t)
	for _, conn := range []net.Conn{silent, whole} {
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadAll(conn); isTimeout(err) {
			t.Error("a connection is open after Close")
		}
		conn.Close()
	}
	l.Close()
}

// Close does not wait for the application's code. Where that was inside a function or
// a key of the application's, the listener asks it nothing more when it returns.
func TestCloseLeavesApplicationAlone(t *testing.T) {
	for _, where := range []string{"GetConfigForClient", "TrustID", "Public"} {
		t.Run(where, func(t *testing.T) {
			begun, end := make(chan struct{}), make(chan struct{})
			var after atomic.Int64 // calls since Close
			var closed atomic.Bool
			inside := func(name string) {
				if closed.Load() {
					after.Add(1)
				} else if name == where {
					close(begun)
					<-end
				}
			}
			tenant := serverConfig()
			tenant.Certificates = []tls.Certificate{{Certificate: serverCert.Certificate, PrivateKey: slowKey{
				serverCert.PrivateKey.(crypto.Signer), func() { inside("Public") },
			}}}
			base := serverConfig()
			base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
				inside("GetConfigForClient")
				return tenant, nil
			}
			c := newCache(t, Config{SessionIDs: SessionIDsAlways, TrustID: func(config *tls.Config) string {
				if config != base {
					inside("TrustID")
				}
				return ""
			}})
			l := idListener(t, c, base)
			server := &http.Server{ErrorLog: log.New(testsecrets.LogWriter(), "", 0)}
			served := make(chan error, 1)
			go func() { served <- server.Serve(l) }()
			conn := must(net.Dial("tcp", l.Addr().String()))(t)
			defer conn.Close()
			conn.Write(helloWithTicket(nil))
			<-begun
			begin := time.Now()
			if err := server.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if waited := time.Since(begin); waited > time.Second {
				t.Errorf("Shutdown took %v", waited)
			}
			<-served
			conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := conn.Read(make([]byte, 1)); isTimeout(err) {
				t.Error("the connection is open after Close")
			}
			closed.Store(true)
			close(end)
			listenerEnds(t)
			// Which keys suit the client is one question.
			if n := after.Load(); n != 0 && where != "Public" {
				t.Errorf("after Close the application was asked %d times", n)
			}
		})
	}
}

// listenerEnds waits for the goroutines of a listener to end.
func listenerEnds(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		left := testleaks.Left(0)
		if !strings.Contains(left, "helloListener") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("goroutines of the listener do not end:\n%s", left)
		}
	}
}

// A slowKey calls a function before it tells its public key.
type slowKey struct {
	crypto.Signer
	before func()
}

func (k slowKey) Public() crypto.PublicKey { k.before(); return k.Signer.Public() }

// The time that a ClientHello has is over when it is there: the connection's
// deadlines are the program's.
func TestDeadlineIsLifted(t *testing.T) {
	inner := newQueue(1)
	l := must(newCache(t, Config{SessionIDs: SessionIDsAlways}).NewListener(inner, serverConfig()))(t)
	defer l.Close()
	near, far := socketPair(t)
	defer near.Close()
	noted := &deadlineConn{Conn: far}
	near.Write(helloWithTicket(nil))
	inner.conns <- noted
	must(l.Accept())(t).Close()
	if len(noted.set) != 2 || noted.set[0].IsZero() || !noted.set[1].IsZero() {
		t.Errorf("read deadlines: %v", noted.set)
	}
}

type deadlineConn struct {
	net.Conn
	set []time.Time
}

func (d *deadlineConn) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return d.Conn.SetReadDeadline(t)
}

// An Accept that fails below fails above, and the next one goes on.
func TestAcceptErrors(t *testing.T) {
	inner := &failing{queue: newQueue(1)}
	inner.errs.Store(2)
	c := newCache(t, Config{SessionIDs: SessionIDsAlways})
	l := must(c.NewListener(inner, serverConfig()))(t)
	defer l.Close()
	for range 2 {
		if _, err := l.Accept(); !errors.Is(err, errAccept) {
			t.Errorf("Accept: %v", err)
		}
	}
	near, far := socketPair(t)
	defer near.Close()
	near.Write(helloWithTicket(nil))
	inner.conns <- far
	must(l.Accept())(t).Close()
}

var errAccept = errors.New("too many open files")

type failing struct {
	*queue
	errs atomic.Int64
}

func (f *failing) Accept() (net.Conn, error) {
	if f.errs.Add(-1) >= 0 {
		return nil, errAccept
	}
	return f.queue.Accept()
}
