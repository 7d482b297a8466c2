package halfshake

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// RFC 9846 section 4.6.1: the server name that is reported, and that the session is
// looked up for, is the one of the resuming ClientHello.
func TestServerNameOfTheResumingHello(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		var names []string
		c := newCache(t, Config{Authorize: func(info ConnInfo, _ *Session) bool { names = append(names, info.ServerName); return true }})
		config := serverConfig()
		var states []string
		config.VerifyConnection = func(cs tls.ConnectionState) error { states = append(states, cs.ServerName); return nil }
		open, cl := d.open(t, c, config), newClient(version)
		connectOK(t, open, cl)
		cl.serverName = "A.Example" // the same name (RFC 4343), and another spelling
		if !connectOK(t, open, cl).resumed {
			t.Fatal("not resumed")
		}
		if len(names) != 1 || names[0] != "A.Example" || states[1] != "A.Example" {
			t.Errorf("the resumption is for %q, and %q", names, states)
		}
	})
}

// RFC 9846 section 4.6.1: after a connection that failed, the sessions of its tickets
// are discarded.
func TestTicketsOfAFailedConnection(t *testing.T) {
	for _, version := range versions {
		for _, resumed := range []bool{false, true} {
			c := newCache(t, Config{})
			cl := newClient(version)
			if resumed {
				connectOK(t, viaServer.open(t, c, serverConfig()), cl)
			}
			p := open(t, c, serverConfig(), cl)
			p.near.Write([]byte("\x17\x03\x03\x00\x20" + strings.Repeat("x", 32)))
			p.server.Read(make([]byte, 1))
			p.near.Close()
			p.server.Close()
			if connectOK(t, viaServer.open(t, c, serverConfig()), cl).resumed {
				t.Errorf("%s: what a failed connection made resumes", tls.VersionName(version))
			}
		}
	}
}

// A configuration of GetConfigForClient that asks for client certificates under no
// scope is served, is not cached, and is warned of once.
func TestUnscopedConfigurationIsWarnedOfOnce(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		var log bytes.Buffer
		var mu sync.Mutex
		c := newCache(t, Config{Logger: slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil))})
		config := serverConfig()
		config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return verifying(), nil }
		open, cl := d.open(t, c, config), newClient(version).withCert(clientCert)
		for range 3 {
			if connectOK(t, open, cl).resumed {
				t.Error("resumed")
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if n := strings.Count(log.String(), "Config.Scope"); n != 1 {
			t.Errorf("warned %d times: %s", n, &log)
		}
	})
}

type lockedWriter struct {
	mu *sync.Mutex
	to *bytes.Buffer
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}

// The application may change its configuration after it has handed it in, also while
// connections are made. The race detector watches.
func TestBaseMayChange(t *testing.T) {
	forEach(t, []door{viaConfig, viaListener, viaIDs}, func(t *testing.T, d door, version uint16) {
		c := newCache(t, Config{})
		base := serverConfig()
		open := d.open(t, c, base)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 100 {
				base.NextProtos = append(base.NextProtos, "x")
				base.MinVersion = tls.VersionTLS13
				base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }
				base.Certificates = nil
				base.ClientAuth, base.ClientCAs, base.VerifyPeerCertificate, base.Time = tls.NoClientCert, nil, nil, nil
				time.Sleep(time.Millisecond)
			}
		}()
		cl := newClient(version)
		for range 3 {
			connectOK(t, open, cl)
		}
		<-done
	})
}

// HandshakeContext returns when its context ends, also while another goroutine waits
// for the ClientHello.
func TestHandshakeContextWhileAnotherWaits(t *testing.T) {
	c := newCache(t, Config{SessionIDs: SessionIDsAlways})
	near, far := socketPair(t)
	defer near.Close()
	conn := must(c.Server(far, serverConfig()))(t)
	defer conn.Close()
	waiting := make(chan error, 1)
	go func() { waiting <- conn.Handshake() }()
	time.Sleep(20 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := conn.HandshakeContext(ctx); err == nil || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	near.Close()
	<-waiting
}
