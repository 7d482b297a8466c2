package halfshake

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testca"
)

// A shelf is an external cache in a map, behind callbacks that an application
// could have written.
type shelf struct {
	mu       sync.Mutex
	sessions map[string][]byte
	gets     int
}

func newShelf() *shelf { return &shelf{sessions: map[string][]byte{}} }

func (e *shelf) callbacks() Callbacks {
	return Callbacks{
		New: func(_ context.Context, _ ConnInfo, s *Session) bool {
			data, err := s.MarshalBinary()
			e.mu.Lock()
			defer e.mu.Unlock()
			e.sessions[string(s.ID())] = data
			return err == nil
		},
		Get: func(_ context.Context, _ ConnInfo, id []byte) (*Session, error) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.gets++
			if data, ok := e.sessions[string(id)]; ok {
				return ParseSession(data)
			}
			return nil, nil
		},
		Remove: func(_ context.Context, _ *Cache, s *Session, _ Cause) {
			e.mu.Lock()
			defer e.mu.Unlock()
			delete(e.sessions, string(s.ID()))
		},
	}
}

// A policyChange is what differs between the configuration that made a session
// and the one that is in force when the client offers it.
type policyChange struct {
	name   string
	want   Refusal
	change func(config *tls.Config, cfg *Config, cl *client)
}

var policyChanges = []policyChange{
	{"nothing", 0, func(*tls.Config, *Config, *client) {}},
	{"other roots", RefusedUntrusted, func(config *tls.Config, _ *Config, cl *client) {
		config.ClientCAs = otherRoot.Pool()
		cl.withCert(otherRoot.Client("alice", time.Now().Add(time.Hour)))
	}},
	{"other client-auth mode", RefusedScope, func(config *tls.Config, _ *Config, _ *client) {
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}},
	{"no client certificates any more", RefusedScope, func(config *tls.Config, _ *Config, _ *client) {
		config.ClientAuth = tls.NoClientCert
	}},
	{"expired client certificate", RefusedUntrusted, func(config *tls.Config, _ *Config, cl *client) {
		config.Time = func() time.Time { return time.Now().Add(25 * time.Hour) }
		cl.withCert(clientCA.Client("alice", time.Now().Add(48*time.Hour)))
	}},
	{"other name", RefusedScope, func(_ *tls.Config, _ *Config, cl *client) { cl.serverName = "b.example" }},
	{"other scope", RefusedScope, func(_ *tls.Config, cfg *Config, _ *client) { cfg.Scope = "other" }},
	{"other TrustID", RefusedScope, func(_ *tls.Config, cfg *Config, _ *client) {
		cfg.TrustID = func(*tls.Config) string { return "other" }
	}},
}

// A policy that changes between two connections never resumes a session and never
// fails the handshake. The session comes from another machine's cache, so that
// every change can be made, the cache's own included. That it was this package's
// ladder that refused, and not crypto/tls alone, is in the counter.
//
// CVE-2025-68121 and golang/go#77217 (Go), CVE-2025-23419 (nginx), CVE-2025-23048
// (httpd), CVE-2014-3616 (nginx), CVE-2022-21654 (Envoy).
func TestPolicyChange(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		for _, change := range policyChanges {
			t.Run(change.name, func(t *testing.T) {
				store := newShelf()
				cl := newClient(version).withCert(clientCert)
				before := newCache(t, Config{Scope: "test", Callbacks: store.callbacks()})
				connectOK(t, d.open(t, before, verifying()), cl)

				config, cfg := verifying(), Config{Scope: "test", Callbacks: store.callbacks()}
				change.change(config, &cfg, cl)
				after := newCache(t, cfg)
				o := connectOK(t, d.open(t, after, config), cl)
				if o.resumed != (change.want == 0) {
					t.Errorf("resumed: %v", o.resumed)
				}
				wantRefused(t, after, change.want)
			})
		}
	})
}

// The same within one cache, where the configuration comes from
// GetConfigForClient: CVE-2025-68121 in its first form.
func TestPolicyChangeInGetConfigForClient(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		for _, change := range policyChanges {
			var ignored Config
			if change.change(verifying(), &ignored, newClient(version)); ignored.Scope != "" || ignored.TrustID != nil {
				continue // a cache's own policy does not change
			}
			t.Run(change.name, func(t *testing.T) {
				current := verifying()
				base := serverConfig()
				base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return current, nil }
				c := newCache(t, Config{Scope: "test"})
				open, cl := d.open(t, c, base), newClient(version).withCert(clientCert)
				connectOK(t, open, cl)
				current = verifying()
				change.change(current, &ignored, cl)
				if o := connectOK(t, open, cl); o.resumed != (change.want == 0) {
					t.Errorf("resumed: %v", o.resumed)
				}
				wantRefused(t, c, change.want)
			})
		}
	})
}

// CVE-2025-68121 in its second form: a clone of the hooked configuration whose
// ClientCAs are changed afterwards. The hooks go with the clone and cannot see
// the change; crypto/tls asks the clone's roots itself.
func TestCloneWithOtherRootsDoesNotResume(t *testing.T) {
	for _, version := range versions {
		c := newCache(t, Config{Scope: "test"})
		hooked := must(c.ServerConfig(verifying()))(t)
		cl := newClient(version).withCert(clientCert)
		connectOK(t, func(raw net.Conn) handshaker { return tls.Server(raw, hooked) }, cl)
		clone := hooked.Clone()
		clone.ClientCAs = otherRoot.Pool()
		cl.withCert(otherRoot.Client("alice", time.Now().Add(time.Hour)))
		if o := connectOK(t, func(raw net.Conn) handshaker { return tls.Server(raw, clone) }, cl); o.resumed {
			t.Errorf("%s: resumed under other roots", tls.VersionName(version))
		}
	}
}

// TrustID is asked about the configuration in force for the connection, and
// separates sessions whose checks an x509.CertPool does not show.
func TestTrustIDOfTheConfigurationInForce(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		names := map[*tls.Config]string{}
		base, strict, lax := verifying(), verifying(), verifying()
		names[base], names[strict], names[lax] = "base", "strict", "lax"
		current := strict
		base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return current, nil }
		c := newCache(t, Config{TrustID: func(config *tls.Config) string { return names[config] }})
		open, cl := d.open(t, c, base), newClient(version).withCert(clientCert)
		for i, step := range []struct {
			config  *tls.Config
			resumed bool
		}{{strict, false}, {strict, true}, {lax, false}, {lax, true}, {strict, false}} {
			current = step.config
			if o := connectOK(t, open, cl); o.resumed != step.resumed {
				t.Errorf("step %d: resumed %v", i, o.resumed)
			}
		}
	})
}

// Client certificates without a scope: an error where it can be seen in time, and
// where it shows only inside GetConfigForClient, no session (OpenSSL: "session id
// context uninitialized", fatal on the second connection).
func TestUnscopedClientCertificates(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		base := serverConfig()
		base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return verifying(), nil }
		c := newCache(t, Config{})
		open, cl := d.open(t, c, base), newClient(version).withCert(clientCert)
		for range 2 {
			if o := connectOK(t, open, cl); o.resumed {
				t.Error("resumed without a scope")
			}
		}
		if st := c.Stats(); st.Number != 0 || st.Refused[RefusedUnscoped] != 2 {
			t.Errorf("%d sessions, %d refusals", st.Number, st.Refused[RefusedUnscoped])
		}
	})
}

// CVE-2014-7189 (Go): with tickets disabled the resumption was still reachable.
func TestTicketsDisabledInGetConfigForClient(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		var current *tls.Config
		base := serverConfig()
		base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return current, nil }
		c := newCache(t, Config{})
		open, cl := d.open(t, c, base), newClient(version)
		connectOK(t, open, cl)
		current = serverConfig()
		current.SessionTicketsDisabled = true
		if o := connectOK(t, open, cl); o.resumed {
			t.Error("resumed with tickets disabled")
		}
		current = nil
		if o := connectOK(t, open, cl); !o.resumed {
			t.Error("the session was lost")
		}
	})
}

// wolfSSL CVE-2026-11703: the name was checked for one kind of resumption and not
// for the other. Here every door and version, internal and external sessions, go
// the same way: TestPolicyChange has the external ones, this the internal.
func TestServerNameBindsEveryPath(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		c := newCache(t, Config{})
		open, cl := d.open(t, c, serverConfig()), newClient(version)
		connectOK(t, open, cl)
		for _, name := range []string{"b.example", "localhost"} {
			cl.serverName = name
			restore := cl.jar.saved()
			if o := connectOK(t, open, cl); o.resumed {
				t.Errorf("resumed as %s", name)
			}
			restore()
		}
		cl.serverName = "A.Example" // names are compared without case (RFC 6066 section 3)
		if o := connectOK(t, open, cl); !o.resumed {
			t.Error("not resumed under its own name")
		}
	})
}

// Names are folded as DNS does, in ASCII alone: a name that only looks the same
// under Unicode, or only as broken UTF-8, is another one.
func TestOtherNamesAreNotFoldedTogether(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		for _, pair := range [][2]string{{"\u212Ailo.example", "kilo.example"}, {"\xffilo", "\xfeilo"}} {
			c := newCache(t, Config{})
			open, cl := d.open(t, c, serverConfig()), newClient(version)
			as := func(name string) outcome {
				config := cl.config()
				config.ServerName, config.InsecureSkipVerify = name, true
				return dial(t, open, config, func(handshaker) error { return nil })
			}
			if o := as(pair[0]); o.clientErr != nil {
				t.Fatal(o.clientErr)
			}
			if o := as(pair[1]); o.clientErr != nil || o.resumed {
				t.Errorf("made as %q; as %q resumed %v, %v", pair[0], pair[1], o.resumed, o.clientErr)
			}
		}
	})
}

// A TrustID that panics leaves its configuration without a name, and so without a
// session: it does not stand for "none".
func TestTrustIDPanics(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		base, failing, nameless := serverConfig(), serverConfig(), serverConfig()
		c := newCache(t, Config{Scope: "test", TrustID: func(config *tls.Config) string {
			if config == failing {
				panic("the directory is down")
			}
			return ""
		}})
		current := failing
		base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return current, nil }
		open, cl := d.open(t, c, base), newClient(version)
		connectOK(t, open, cl)
		if n := c.Stats().Number; n != 0 {
			t.Errorf("%d sessions of unknown trust", n)
		}
		current = nameless
		if connectOK(t, open, cl).resumed {
			t.Error("resumed under another trust")
		}
		if _, err := c.ServerConfig(failing); err == nil || !strings.Contains(err.Error(), "TrustID") {
			t.Errorf("ServerConfig: %v", err)
		}
	})
}

// The policy of the configuration that was handed in is asked for once, not for
// each connection.
func TestTrustIDIsAskedOnce(t *testing.T) {
	for _, d := range []door{viaConfig, viaListener} {
		asked := 0
		c := newCache(t, Config{TrustID: func(*tls.Config) string { asked++; return "test" }})
		open := d.open(t, c, serverConfig())
		for range 3 {
			connectOK(t, open, newClient(tls.VersionTLS13))
		}
		if asked != 1 {
			t.Errorf("%s: asked %d times", d.name, asked)
		}
	}
}

// Roots are compared as trust, not as identity: another pool with the same root
// resumes, and a pool that lost the root does not.
func TestRootsAreTrustNotIdentity(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		current := verifying()
		base := verifying()
		base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return current, nil }
		c := newCache(t, Config{Scope: "test"})
		open, cl := d.open(t, c, base), newClient(version).withCert(clientCert)
		connectOK(t, open, cl)
		current = verifying()
		current.ClientCAs = otherRoot.Pool()
		current.ClientCAs.AddCert(clientRoot.Cert)
		if o := connectOK(t, open, cl); !o.resumed {
			t.Error("not resumed with the root still trusted")
		}
	})
}

// A client's certificate that is itself among the roots is a chain without an
// authority: it resumes while it is trusted.
func TestTrustedLeaf(t *testing.T) {
	self := testca.SelfSigned("alice", time.Now().Add(time.Hour))
	forAll(t, func(t *testing.T, d door, version uint16) {
		current := verifying()
		current.ClientCAs.AddCert(self.Leaf)
		base := verifying()
		base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return current, nil }
		c := newCache(t, Config{Scope: "test"})
		open, cl := d.open(t, c, base), newClient(version).withCert(self)
		connectOK(t, open, cl)
		if !connectOK(t, open, cl).resumed {
			t.Error("not resumed while it is trusted")
		}
		current = verifying()
		current.ClientCAs.AddCert(testca.SelfSigned("alice", time.Now().Add(time.Hour)).Leaf)
		cl.withCert(clientCert)
		if connectOK(t, open, cl).resumed {
			t.Error("resumed when it is no longer trusted")
		}
		wantRefused(t, c, RefusedUntrusted)
	})
}

// An unverified certificate of RequestClientCert is carried over as it was, only
// under that policy, and only in its own time.
func TestUnverifiedClientCertificate(t *testing.T) {
	eve := testca.Root("stranger", testca.ECDSA).Client("eve", time.Now().Add(time.Hour))
	forAll(t, func(t *testing.T, d door, version uint16) {
		clk := newClock()
		config := serverConfig()
		config.ClientAuth, config.Time = tls.RequestClientCert, clk.Now
		c := newCache(t, Config{Scope: "test"})
		open, cl := d.open(t, c, config), newClient(version).withCert(eve)
		s := madeThrough(t, c, open, cl)
		if o := connectOK(t, open, cl); !o.resumed || len(s.PeerCertificates()) != 1 {
			t.Errorf("resumed %v with %d certificates", o.resumed, len(s.PeerCertificates()))
		}
		clk.Advance(2 * time.Hour)
		if connectOK(t, open, cl).resumed {
			t.Error("resumed with a certificate that has expired")
		}
		wantRefused(t, c, RefusedUntrusted)
	})
}
