package halfshake

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
)

// A session is resumed through each door, in both versions, with and without a
// client certificate; and what each hook, callback and counter sees of it.
func TestResumption(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		for _, withCert := range []bool{false, true} {
			var made []*Session
			c := newCache(t, Config{Scope: "test"})
			c.SetNew(func(_ context.Context, info ConnInfo, s *Session) bool { made = append(made, s); return true })
			config, cl := serverConfig(), newClient(version)
			if withCert {
				config, cl = verifying(), cl.withCert(clientCert)
			}
			config.NextProtos, cl.protos = []string{"http/1.1"}, []string{"http/1.1"}
			open := d.open(t, c, config)

			first := connectOK(t, open, cl)
			if first.resumed || len(made) != 1 {
				t.Fatalf("first connection: resumed %v, New called %d times", first.resumed, len(made))
			}
			checkSession(t, made[0], version, cl)
			second := connectOK(t, open, cl)
			if !second.resumed {
				t.Fatal("second connection: not resumed")
			}
			wantNew := map[uint16]int{tls.VersionTLS12: 1, tls.VersionTLS13: 2}[version]
			if len(made) != wantNew {
				t.Errorf("New called %d times, want %d", len(made), wantNew)
			}
			if d.name != "ServerConfig" && (first.session.serial != made[0].serial || second.session.serial != made[0].serial) {
				t.Error("SessionOf is not the session that was made, then resumed")
			}
			if version == tls.VersionTLS12 && !bytes.Equal(cl.jar.id(), made[0].ID()) {
				t.Error("a resumption in TLS 1.2 changed the session's id")
			}
			st := c.Stats()
			if st.Accept != 2 || st.AcceptGood != 2 || st.Hits != 1 || st.Misses != 0 || int(st.Number) != wantNew {
				t.Errorf("counters: %+v", st)
			}
		}
	})
}

func checkSession(t *testing.T, s *Session, version uint16, cl *client) {
	t.Helper()
	if s.Version() != version || s.ServerName() != "a.example" || s.ALPN() != "http/1.1" || !bytes.Equal(s.ID(), cl.jar.id()) ||
		s.Expires().Sub(s.Created()) != DefaultTimeout || s.ChainStart() != s.Created() {
		t.Errorf("the session: %v %v %v %v", s, s.ServerName(), s.ALPN(), s.Expires().Sub(s.Created()))
	}
	switch peer := s.PeerCertificates(); {
	case cl.cert == nil && peer != nil:
		t.Error("a certificate that the client did not send")
	case cl.cert != nil && (len(peer) != 2 || !bytes.Equal(peer[0].Raw, clientCert.Certificate[0])):
		t.Errorf("%d peer certificates", len(peer))
	}
}

// crypto/tls makes no ticket keys, which nothing would use, for any connection's
// configuration, and none in the application's, whose clones would share them. What
// ServerConfig returns has its own, made once: the application may take off the hooks.
func TestNoTicketKeysAreMade(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		for _, asks := range []bool{false, true} {
			config, chosen, random := serverConfig(), serverConfig(), &ticketKeyWatch{}
			config.Rand, chosen.Rand = random, random
			if asks {
				config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return chosen, nil }
			}
			open, cl := d.open(t, newCache(t, Config{}), config), newClient(version)
			for i := range 3 {
				if o := connectOK(t, open, cl); o.resumed != (i > 0) {
					t.Errorf("connection %d: resumed %v", i, o.resumed)
				}
			}
			want := int64(0)
			if d.name == viaConfig.name && !asks {
				want = 2 // for the key, and for the field that may hold one
			}
			if n := random.keys.Load(); n != want || random.reads.Load() <= want {
				t.Errorf("asks %v: of %d reads of randomness %d are for ticket keys, want %d", asks, random.reads.Load(), n, want)
			}
			for _, own := range []*tls.Config{config, chosen} {
				//lint:ignore SA1019 crypto/tls writes it with the keys that it makes
				if own.SessionTicketKey != [32]byte{} {
					t.Error("there are keys in the application's configuration")
				}
			}
		}
	})
}

// ticketKeyWatch is randomness that sees what it is for.
type ticketKeyWatch struct{ reads, keys atomic.Int64 }

func (w *ticketKeyWatch) Read(b []byte) (int, error) {
	w.reads.Add(1)
	pcs := make([]uintptr, 20)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for more := true; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		if strings.HasSuffix(frame.Function, ".ticketKeys") || strings.HasSuffix(frame.Function, ".initLegacySessionTicketKeyRLocked") {
			w.keys.Add(1)
			break
		}
	}
	return rand.Read(b)
}
