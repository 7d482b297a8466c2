package halfshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"
)

// A variant is a change of a client's configuration, or of the cache's, under which a
// session must not be offered.
type variant struct {
	name   string
	change func(base *tls.Config)
	addr   string // "" for the usual one
	config func(*Config)
}

// variants are what curl CVE-2016-5419 (client certificate), CVE-2021-22890 (proxy and
// host), haproxy #3195 (SNI), CVE-2025-68121 (roots of Go) and TlsLib4Pascal PR 34 (a lax
// configuration beside a strict one) confused.
var variants = []variant{
	{name: "server name", change: func(b *tls.Config) { b.ServerName = "b.example" }},
	{name: "port", addr: "a.example:444"},
	{name: "host, as through a proxy", addr: "proxy.example:443"},
	{name: "more roots", change: func(b *tls.Config) { b.RootCAs = b.RootCAs.Clone(); b.RootCAs.AddCert(otherRoot.Cert) }},
	{name: "no verification", change: func(b *tls.Config) { b.InsecureSkipVerify = true }},
	{name: "client certificate", change: func(b *tls.Config) { b.Certificates = []tls.Certificate{certificateOf("bob")} }},
	{name: "no client certificate", change: func(b *tls.Config) { b.Certificates = nil }},
	{name: "another certificate before", change: func(b *tls.Config) { b.Certificates = []tls.Certificate{certificateOf("bob"), clientCert} }},
	{name: "Scope", config: func(c *Config) { c.Scope = "another" }},
	{name: "TrustID", config: func(c *Config) { c.TrustID = func(*tls.Config) string { return "another" } }},
}

// A session made under one server name, address, root set, TrustID, Scope or client
// certificate is never offered under another: in one cache, and in two that share what
// they store. Each way round. curl CVE-2016-5419 and CVE-2021-22890, haproxy/haproxy#3195,
// Xor-el/TlsLib4Pascal#34.
func TestClientSessionIsOfferedWhereItWasMade(t *testing.T) {
	forClients(t, func(t *testing.T, version uint16) {
		for _, v := range variants {
			for _, swapped := range []bool{false, true} {
				base, other := clientBase(version), clientBase(version)
				base.Certificates = []tls.Certificate{clientCert}
				other.Certificates = []tls.Certificate{clientCert}
				addr, cfg, otherCfg := clientAddr, Config{}, Config{}
				if v.change != nil {
					v.change(other)
				}
				if v.config != nil {
					v.config(&otherCfg)
				}
				otherAddr := clientAddr
				if v.addr != "" {
					otherAddr = v.addr
				}
				if swapped {
					base, other, addr, otherAddr, cfg, otherCfg = other, base, otherAddr, addr, otherCfg, cfg
				}
				c := newClientCache(t, cfg)
				second := c
				if v.config != nil {
					second = newClientCache(t, otherCfg)
				}
				server := serverConfig()
				server.ClientAuth = tls.RequestClientCert
				p := newPeer(server)
				p.visitOK(t, must(c.ClientConfig(base, addr))(t))
				if v.config != nil { // what a common store would answer
					for s := range c.Sessions() {
						second.Add(s)
					}
				}
				p.visitOK(t, must(second.ClientConfig(other, otherAddr))(t))
				if _, offers := p.seen(); len(offers) != 0 {
					t.Errorf("%s (swapped %v): offered", v.name, swapped)
				}
				if !p.visitOK(t, must(c.ClientConfig(base, addr))(t)).DidResume {
					t.Errorf("%s (swapped %v): not even resumed where it was made", v.name, swapped)
				}
			}
		}
	})
}

// A root set with the same names and other keys cannot be told apart by its names. The
// session's chain does not end in it, so it is not offered.
func TestClientSessionUnderTwinRoots(t *testing.T) {
	forClients(t, func(t *testing.T, version uint16) {
		one, other := twin("twin"), twin("twin")
		c := newClientCache(t, Config{})
		for i, ca := range []*x509.CertPool{one.Pool(), other.Pool()} {
			issuer := one
			if i == 1 {
				issuer = other
			}
			p := newPeer(&tls.Config{Certificates: []tls.Certificate{issuer.Server("a.example")}})
			base := clientBase(version)
			base.RootCAs = ca
			p.visitOK(t, clientConfig(t, c, base))
			if _, offers := p.seen(); len(offers) != 0 {
				t.Error("offered under the twin's roots")
			}
		}
		if n := c.Stats().Refused[RefusedUntrusted]; n != 1 {
			t.Errorf("refused as untrusted: %d", n)
		}
	})
}

// The names of variants that only spell the same thing differently share sessions.
func TestClientSessionUnderAnotherSpelling(t *testing.T) {
	c := newClientCache(t, Config{})
	p := newPeer(serverConfig())
	base := clientBase(tls.VersionTLS13)
	p.visitOK(t, clientConfig(t, c, base))
	base.ServerName = "A.Example"
	if !p.visitOK(t, must(c.ClientConfig(base, "A.example:443"))(t)).DidResume {
		t.Error("not resumed")
	}
}

// A configuration that was cloned for another server name, as an application might, neither
// offers nor stores.
func TestClientConfigUnderAnotherName(t *testing.T) {
	c := newClientCache(t, Config{})
	p := newPeer(serverConfig())
	config := clientConfig(t, c, clientBase(tls.VersionTLS13))
	p.visitOK(t, config)
	clone := config.Clone()
	clone.ServerName = "b.example"
	p.visitOK(t, clone)
	if _, offers := p.seen(); len(offers) != 0 || c.Stats().Number != 1 {
		t.Errorf("%d offers, %d sessions", len(offers), c.Stats().Number)
	}
}

// Roots that are no longer trusted, a certificate that has expired and a
// VerifyPeerCertificate that says no today lead to a full handshake, which decides.
func TestClientTrustOfToday(t *testing.T) {
	forClients(t, func(t *testing.T, version uint16) {
		c := newClientCache(t, Config{})
		p := newPeer(serverConfig())
		base := clientBase(version)
		var refuse bool
		var calls int
		base.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
			if calls++; len(raw) == 0 || len(chains) == 0 {
				t.Errorf("%d certificates, %d chains", len(raw), len(chains))
			}
			if refuse {
				return errors.New("not today")
			}
			return nil
		}
		config := clientConfig(t, c, base)
		p.visitOK(t, config)
		if !p.visitOK(t, config).DidResume || calls != 2 {
			t.Errorf("not resumed, or VerifyPeerCertificate called %d times", calls)
		}
		refuse = true
		if _, err := p.visit(t, config); err == nil {
			t.Error("a server was accepted that VerifyPeerCertificate refuses")
		}
		if n := c.Stats().Refused[RefusedVerifyPeerCertificate]; n != 1 {
			t.Errorf("refused by VerifyPeerCertificate: %d", n)
		}
	})
}

// VerifyConnection is called in every handshake. If it refuses a resumption, the connection
// fails, and the session is gone.
func TestClientVerifyConnectionRefuses(t *testing.T) {
	forClients(t, func(t *testing.T, version uint16) {
		var gone removed
		c := newClientCache(t, Config{Callbacks: Callbacks{Remove: gone.note}})
		p := newPeer(serverConfig())
		base := clientBase(version)
		base.VerifyConnection = func(cs tls.ConnectionState) error {
			if cs.DidResume {
				return errors.New("no resumption")
			}
			return nil
		}
		config := clientConfig(t, c, base)
		p.visitOK(t, config)
		if _, err := p.visit(t, config); err == nil {
			t.Error("VerifyConnection was not asked")
		}
		want := CauseUsed
		if version == tls.VersionTLS12 {
			want = CauseAlert
		}
		if got := gone.all(); len(got) != 1 || got[0] != want || c.Stats().Number != 0 {
			t.Errorf("removals %v, %d sessions left", got, c.Stats().Number)
		}
		p.visitOK(t, config)
	})
}

// Authorize and Admit decide on a client's session too.
func TestClientAuthorizeAndAdmit(t *testing.T) {
	forClients(t, func(t *testing.T, version uint16) {
		for _, refusal := range []Refusal{RefusedUnauthorized, RefusedNotAdmitted} {
			cfg := Config{}
			if refusal == RefusedUnauthorized {
				cfg.Authorize = func(info ConnInfo, s *Session) bool { return !(s.Client() && info.ServerName == "a.example") }
			} else {
				cfg.Callbacks.Admit = func(context.Context, ConnInfo, *Session) bool { return false }
			}
			c := newClientCache(t, cfg)
			p, config := newPeer(serverConfig()), clientConfig(t, c, clientBase(version))
			p.visitOK(t, config)
			p.visitOK(t, config)
			if _, offers := p.seen(); len(offers) != 0 || c.Stats().Refused[refusal] != 1 {
				t.Errorf("%v: %d offers, counted %d", refusal, len(offers), c.Stats().Refused[refusal])
			}
		}
	})
}

// ClientConfig says which field is wrong, and what to do.
func TestClientConfigRefusesBadConfigs(t *testing.T) {
	good := clientBase(tls.VersionTLS13)
	with := func(change func(*tls.Config)) *tls.Config {
		base := good.Clone()
		change(base)
		return base
	}
	client := Config{Mode: ModeClient}
	for _, test := range []struct {
		cfg  Config
		base *tls.Config
		addr string
		want string
	}{
		{client, nil, clientAddr, "is nil"},
		{Config{}, good, clientAddr, "set ModeClient or ModeBoth"},
		{client, good, "a.example", "host:port"},
		{client, good, "a.example:", "host:port"},
		{client, with(func(c *tls.Config) { c.ServerName = "" }), ":443", "host:port"},
		{client, with(func(c *tls.Config) { c.SessionTicketsDisabled = true }), clientAddr, "SessionTicketsDisabled"},
		{client, with(func(c *tls.Config) { c.ClientSessionCache = tls.NewLRUClientSessionCache(1) }), clientAddr, "ClientSessionCache"},
		{client, with(func(c *tls.Config) { c.Renegotiation = tls.RenegotiateOnceAsClient }), clientAddr, "RenegotiateNever"},
		{client, with(func(c *tls.Config) { c.MinVersion, c.MaxVersion = 0, tls.VersionTLS11 }), clientAddr, "MaxVersion"},
		{client, with(func(c *tls.Config) {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return nil, nil }
		}), clientAddr, "set Config.TrustID"},
		{Config{Mode: ModeClient, TrustID: func(*tls.Config) string { panic("no") }}, good, clientAddr, "TrustID panicked"},
	} {
		c := newCache(t, test.cfg)
		if _, err := c.ClientConfig(test.base, test.addr); err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "halfshake: ") {
			t.Errorf("want an error with %q, have %v", test.want, err)
		}
	}
	for _, mode := range []Mode{ModeClient, ModeBoth, ModeOff} {
		c := newCache(t, Config{Mode: mode})
		config := must(c.ClientConfig(&tls.Config{}, "a.example:443"))(t)
		if config.ServerName != "a.example" {
			t.Errorf("%v: the server name is %q", mode, config.ServerName)
		}
	}
}

// The application may change its configuration after it has handed it in. The race
// detector watches.
func TestClientBaseMayChange(t *testing.T) {
	c := newClientCache(t, Config{})
	base := clientBase(tls.VersionTLS13)
	config, p := clientConfig(t, c, base), newPeer(serverConfig())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 100 {
			base.ServerName, base.RootCAs, base.InsecureSkipVerify, base.Time = "x", nil, true, nil
			base.VerifyConnection, base.VerifyPeerCertificate, base.Certificates = nil, nil, nil
			time.Sleep(time.Millisecond)
		}
	}()
	for range 3 {
		p.visitOK(t, config)
	}
	<-done
}
