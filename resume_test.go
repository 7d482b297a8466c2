package halfshake

import (
	"bytes"
	"context"
	"crypto/tls"
	"testing"
)

// A session is resumed through each door, in both versions, with and without a
// client certificate; and what each hook, callback and counter sees of it.
func TestResumption(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		for _, withCert := range []bool{false, true} {
			var made []*Session
			c := newCache(t, Config{Scope: "test"})
			c.SetNewCallback(func(_ context.Context, info ConnInfo, s *Session) bool { made = append(made, s); return true })
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
			if d.name != "ServerConfig" && (first.session.serial != made[0].serial || second.session.serial != made[len(made)-1].serial) {
				t.Error("SessionOf is not the session that the client uses next")
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
		s.Expires().Sub(s.Created()) != DefaultTimeout || s.LineageStart().Unix() != s.Created().Unix() {
		t.Errorf("the session: %v %v %v %v", s, s.ServerName(), s.ALPN(), s.Expires().Sub(s.Created()))
	}
	switch peer := s.PeerCertificates(); {
	case cl.cert == nil && peer != nil:
		t.Error("a certificate that the client did not send")
	case cl.cert != nil && (len(peer) != 2 || !bytes.Equal(peer[0].Raw, clientCert.Certificate[0])):
		t.Errorf("%d peer certificates", len(peer))
	}
}
