package halfshake

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/sessionstate"
)

// madeUnder makes a session through a full handshake of version under config, by
// a client with a certificate where config asks for one.
func madeUnder(t testing.TB, c *Cache, config *tls.Config, version uint16) *Session {
	t.Helper()
	var made *Session
	c.SetNewCallback(func(_ context.Context, _ ConnInfo, s *Session) bool { made = s; return true })
	defer c.SetNewCallback(nil)
	cl := newClient(version)
	if config.ClientAuth != tls.NoClientCert {
		cl.withCert(clientCert)
	}
	connectOK(t, viaServer.open(t, c, config), cl)
	if made == nil {
		t.Fatal("the handshake made no session")
	}
	return made
}

// Every rung of the ladder, by itself: a session that may be resumed, and the one
// thing that speaks against it.
func TestLadder(t *testing.T) {
	for _, version := range versions {
		clk := newClock()
		c := newCache(t, Config{Scope: "test", Time: clk.Now, MaxLineageAge: time.Hour})
		good := madeUnder(t, c, verifying(), version)
		rungs := []struct {
			want   Refusal
			change func(p *proposal, s *Session)
		}{
			{0, func(*proposal, *Session) {}},
			{RefusedWrongID, func(p *proposal, _ *Session) { p.id = randomID() }},
			{RefusedMalformed, func(_ *proposal, s *Session) { s.state = s.state[:len(s.state)-1] }},
			{RefusedMalformed, func(_ *proposal, s *Session) { s.state = append(slices.Clone(s.state), 0) }},
			{RefusedMalformed, func(_ *proposal, s *Session) { s.suite++ }},
			{RefusedMalformed, func(_ *proposal, s *Session) { s.version-- }},
			{RefusedMalformed, func(_ *proposal, s *Session) { s.state = withSecret(s.state, func(b []byte) { clear(b) }) }},
			{RefusedVersion, func(p *proposal, _ *Session) { p.info.Version ^= 7 }},
			{RefusedUnscoped, func(p *proposal, _ *Session) { p.policy.scope = "" }},
			{RefusedScope, func(p *proposal, _ *Session) { p.policy.scope = "other" }},
			{RefusedScope, func(p *proposal, _ *Session) { p.policy.trustID = "other" }},
			{RefusedScope, func(p *proposal, _ *Session) { p.info.ServerName = "b.example" }},
			{RefusedScope, func(p *proposal, _ *Session) { p.policy.config.ClientAuth = tls.VerifyClientCertIfGiven }},
			{RefusedExpired, func(_ *proposal, s *Session) { s.expires = clk.Now().Unix() - 1 }},
			{RefusedExpired, func(p *proposal, s *Session) {
				s.expires += 1 << 30
				p.policy.config.Time = func() time.Time { return time.Now().Add(MaxTimeout + time.Minute) }
			}},
			{RefusedLineageAge, func(_ *proposal, s *Session) { s.lineage = newLineage(s.lineage.milli() - 3601_000) }},
			{RefusedCipherSuite, func(p *proposal, s *Session) { p.suite, p.offered = otherHash(s.suite), []uint16{0x1234} }},
			{RefusedUntrusted, func(p *proposal, _ *Session) { p.policy.config.ClientCAs = otherRoot.Pool() }},
			{RefusedUntrusted, func(p *proposal, _ *Session) { p.policy.config.ClientCAs = x509.NewCertPool() }},
			{RefusedUntrusted, func(p *proposal, _ *Session) { p.policy.config.ClientCAs = nil }}, // the system's roots
			{RefusedUntrusted, func(p *proposal, _ *Session) {
				p.policy.config.Time = func() time.Time { return time.Now().Add(25 * time.Hour) } // the leaf's end
			}},
			{RefusedUntrusted, func(p *proposal, _ *Session) {
				p.policy.config.Time = func() time.Time { return time.Now().Add(-25 * time.Hour) } // before its begin
			}},
		}
		for i, rung := range rungs {
			s := *good
			p := proposing(c, policyWith(verifying(), "test", ""), good, "a.example")
			rung.change(&p, &s)
			if got := c.refuse(p, &found{Session: &s}); got != rung.want {
				t.Errorf("%s: rung %d: %v, want %v", tls.VersionName(version), i, got, rung.want)
			}
		}
	}
}

// withSecret returns a copy of state with its secret changed.
func withSecret(state []byte, change func([]byte)) []byte {
	state = slices.Clone(state)
	st, _ := sessionstate.Parse(state)
	change(st.Secret)
	return state
}

// otherHash is a TLS 1.3 suite of another hash.
func otherHash(suite uint16) uint16 {
	if suite == tls.TLS_AES_256_GCM_SHA384 {
		return tls.TLS_AES_128_GCM_SHA256
	}
	return tls.TLS_AES_256_GCM_SHA384
}

// The client-certificate rung stands behind the scope, which covers the policy:
// it must hold even if a digest lies.
func TestLadderClientCertificate(t *testing.T) {
	for _, version := range versions {
		c := newCache(t, Config{Scope: "test"})
		with, without := *madeUnder(t, c, verifying(), version), *madeUnder(t, c, serverConfig(), version)
		forged := func(s *Session, config *tls.Config) Refusal {
			p := proposing(c, policyWith(config, "test", ""), s, "a.example")
			s.scope = p.policy.digest("a.example")
			return c.refuse(p, &found{Session: s})
		}
		for _, auth := range []tls.ClientAuthType{tls.RequireAnyClientCert, tls.RequireAndVerifyClientCert} {
			config := verifying()
			config.ClientAuth = auth
			if got := forged(&without, config); got != RefusedClientCertificate {
				t.Errorf("no certificate under %v: %v", auth, got)
			}
		}
		if got := forged(&with, serverConfig()); got != RefusedClientCertificate {
			t.Errorf("a certificate under NoClientCert: %v", got)
		}
	}
}

// A TLS 1.2 session without extended master secret is neither cached nor resumed
// (RFC 7627 section 5.4; the triple handshake).
func TestNoExtendedMasterSecret(t *testing.T) {
	c := newCache(t, Config{})
	s := *madeUnder(t, c, serverConfig(), tls.VersionTLS12)
	s.state = withoutEMS(t, s.state)
	p := proposing(c, policyWith(serverConfig(), "", ""), &s, "a.example")
	if got := c.refuse(p, &found{Session: &s}); got != RefusedExtendedMasterSecret {
		t.Errorf("resuming: %v", got)
	}
	if got := makes(c, p.policy, "a.example", s.version, s.state); got != nil {
		t.Error("cached a session without extended master secret")
	}
	wantRefused(t, c, RefusedExtendedMasterSecret)
}

// withoutEMS clears the flag; it follows the secret and the empty Extra.
func withoutEMS(t *testing.T, state []byte) []byte {
	t.Helper()
	state = slices.Clone(state)
	at := 13 + 1 + int(state[13]) + 3
	if state[at] != 1 {
		t.Fatal("the extended master secret is not where it was")
	}
	state[at] = 0
	return state
}

// Authorize and Admit are the last two rungs: false, and a panic, are a full
// handshake, in every version and through every door. Admit, which may consume
// the session, is not asked about one that Authorize refuses.
func TestAuthorize(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		var say func() bool
		admitted := 0
		c := newCache(t, Config{
			Authorize: func(ConnInfo, *Session) bool { return say() },
			Callbacks: Callbacks{Admit: func(context.Context, ConnInfo, *Session) bool { admitted++; return true }},
		})
		open, cl := d.open(t, c, serverConfig()), newClient(version)
		connectOK(t, open, cl)
		for i, answer := range answers {
			say = answer
			if o := connectOK(t, open, cl); o.resumed != (i == 0) {
				t.Errorf("answer %d: resumed %v", i, o.resumed)
			}
		}
		if st := c.Stats(); st.Refused[RefusedUnauthorized] != 2 || st.Refused[RefusedCallback] != 1 || admitted != 1 {
			t.Errorf("refused %v; Admit was asked %d times", st.Refused, admitted)
		}
	})
}

var answers = []func() bool{
	func() bool { return true }, func() bool { return false }, func() bool { panic("no answer") },
}

func TestAdmit(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		var say func() bool
		c := newCache(t, Config{Callbacks: Callbacks{Admit: func(_ context.Context, _ ConnInfo, s *Session) bool { return say() }}})
		open, cl := d.open(t, c, serverConfig()), newClient(version)
		connectOK(t, open, cl)
		for i, answer := range answers {
			say = answer
			if o := connectOK(t, open, cl); o.resumed != (i == 0) {
				t.Errorf("answer %d: resumed %v", i, o.resumed)
			}
		}
		if st := c.Stats(); st.Refused[RefusedNotAdmitted] != 2 || st.Refused[RefusedCallback] != 1 {
			t.Errorf("refused: %v", st.Refused)
		}
	})
}

// A session in the internal cache that cannot be decoded can never resume: it
// leaves, as Faulty. One of an external cache may be good elsewhere (on another
// release of Go), and nothing is removed.
func TestFaultySessionLeaves(t *testing.T) {
	t.Run("state", func(t *testing.T) {
		faultySessionLeaves(t, func(*Session) []byte { return []byte("from another release") })
	})
	t.Run("certificate", func(t *testing.T) { // behind what the ladder reads of it
		faultySessionLeaves(t, func(s *Session) []byte {
			return bytes.Replace(s.state, []byte("\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"), []byte("\x07\x07\x2a\x86\x48\xce\x3d\x02\x01"), 1)
		})
	})
}

func faultySessionLeaves(t *testing.T, state func(*Session) []byte) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		store := newShelf()
		c := newCache(t, Config{Scope: "test", Callbacks: Callbacks{Get: store.callbacks().Get}})
		open, cl := d.open(t, c, verifying()), newClient(version).withCert(clientCert)
		s := *madeThrough(t, c, open, cl)
		cl.jar.frozen = true
		s.serial, s.state = nextSerial(), state(&s)
		faulty := reparse(t, &s)
		c.Add(faulty)
		got := recordRemovals(c)
		connectOK(t, open, cl)
		if want := []removal{{s.Ref(), CauseFaulty}}; !reflect.DeepEqual(*got, want) {
			t.Errorf("removed %v, want %v", *got, want)
		}
		store.sessions[s.id] = must(faulty.MarshalBinary())(t)
		if connectOK(t, open, cl); len(*got) != 1 || c.Stats().Refused[RefusedMalformed] != 2 {
			t.Errorf("removed %v; %v", *got, c.Stats().Refused)
		}
		if c.internal.Has(s.id) {
			t.Error("the copy of the external session stays")
		}
	})
}
