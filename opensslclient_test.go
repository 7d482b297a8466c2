package halfshake

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake/sslsession"
)

// clientExport makes a session of a client and exports it.
func clientExport(t *testing.T, p *peer, version uint16) (*sslsession.Session, Exchange) {
	t.Helper()
	c := newClientCache(t, Config{})
	x := Exchange{Config: clientBase(version), Addr: clientAddr, IDContext: []byte("context")}
	p.visitOK(t, clientConfig(t, c, x.Config))
	for s := range c.Sessions() {
		return must(c.Export(s, x))(t), x
	}
	t.Fatal("no session")
	return nil, x
}

// TestClientExchange has one client offer what another obtained, by way of OpenSSL's
// encoding: from the cache, and as the application's selection.
func TestClientExchange(t *testing.T) {
	forClients(t, func(t *testing.T, version uint16) {
		p := newPeer(serverConfig())
		for _, selects := range []bool{false, true} {
			o, x := clientExport(t, p, version)
			if o.Ticket == nil || len(o.ID) != 32 || o.TicketAgeAdd == 0 && version == tls.VersionTLS13 || string(o.ServerName) != "a.example" {
				t.Errorf("exported: %v", o)
			}
			der := must(o.Marshal())(t)
			c := newClientCache(t, Config{})
			s := must(c.Import(must(sslsession.ParseStrict(der))(t), x))(t)
			again := must(must(c.Export(s, x))(t).Marshal())(t)
			if string(again) != string(der) {
				t.Error("exported again, it differs")
			}
			base := x.Config
			if selects {
				base = base.Clone()
				base.ClientSessionCache = c.Offer(s)
			} else if !c.Add(s) {
				t.Fatal("Add")
			}
			if !p.visitOK(t, clientConfig(t, c, base)).DidResume {
				t.Errorf("selected %v: the imported session does not resume", selects)
			}
		}
	})
}

// TestClientExchangeByID is TestClientExchange for session ids.
func TestClientExchangeByID(t *testing.T) {
	open := viaIDs.open(t, newCache(t, Config{}), serverConfig())
	x := Exchange{Config: clientBase(tls.VersionTLS12), Addr: clientAddr}
	from, to := newClientCache(t, Config{}), newClientCache(t, Config{})
	if _, err := visitByID(t, open, from); err != nil {
		t.Fatal(err)
	}
	for s := range from.Sessions() {
		o := must(from.Export(s, x))(t)
		if o.Ticket != nil || len(o.ID) == 0 {
			t.Errorf("exported: %v", o)
		}
		to.Add(must(to.Import(o, x))(t))
	}
	if resumed, err := visitByID(t, open, to); err != nil || !resumed {
		t.Errorf("the imported session: resumed %v, %v", resumed, err)
	}
}

// TestImportedClientSessionStaysRemoved checks that a session whose lineage was removed
// does not come back when it is imported again.
func TestImportedClientSessionStaysRemoved(t *testing.T) {
	p := newPeer(serverConfig())
	o, x := clientExport(t, p, tls.VersionTLS13)
	c := newClientCache(t, Config{})
	if err := c.RemoveLineage(must(c.Import(o, x))(t).Lineage()); err != nil {
		t.Fatal(err)
	}
	if c.Add(must(c.Import(o, x))(t)) {
		t.Error("a session of a removed lineage was added")
	}
	base := x.Config.Clone()
	base.ClientSessionCache = c.Offer(must(c.Import(o, x))(t))
	if p.visitOK(t, clientConfig(t, c, base)).DidResume {
		t.Error("a session of a removed lineage was offered")
	}
}

// TestImportRefusesClients has a client's session for each reason.
func TestImportRefusesClients(t *testing.T) {
	p := newPeer(serverConfig())
	for _, test := range []struct {
		says   string
		change func(o *sslsession.Session, x *Exchange)
	}{
		{"session id context", func(o *sslsession.Session, x *Exchange) { x.IDContext = nil }},
		{"max_early_data", func(o *sslsession.Session, x *Exchange) { o.MaxEarlyData = 1 }},
		{"master key", func(o *sslsession.Session, x *Exchange) { o.MasterKey = nil }},
		{"server name", func(o *sslsession.Session, x *Exchange) { o.ServerName = []byte("b.example") }},
		{"another name", func(o *sslsession.Session, x *Exchange) { o.ServerName, x.Config.ServerName = nil, "c.example" }},
		{"host:port", func(o *sslsession.Session, x *Exchange) { x.Addr = "a.example" }},
		{"is for servers", func(o *sslsession.Session, x *Exchange) { x.ServerName = "a.example" }},
		{"tls.Config is nil", func(o *sslsession.Session, x *Exchange) { x.Config = nil }},
		{"neither a ticket nor", func(o *sslsession.Session, x *Exchange) { o.Ticket = []byte{} }},
		{"neither a ticket nor", func(o *sslsession.Session, x *Exchange) { o.Ticket, o.ID = nil, nil }},
		{"neither a ticket nor", func(o *sslsession.Session, x *Exchange) {
			o.Ticket, o.Version, o.CipherSuite = nil, tls.VersionTLS13, tls.TLS_AES_128_GCM_SHA256
			o.MasterKey = []byte(strings.Repeat("k", 32))
		}},
		{"ticket has", func(o *sslsession.Session, x *Exchange) { o.Ticket = make([]byte, 1<<16+5) }},
		{"no server certificate", func(o *sslsession.Session, x *Exchange) { o.PeerCertificate = nil }},
		{"does not verify", func(o *sslsession.Session, x *Exchange) { x.Config.RootCAs = otherRoot.Pool() }},
		{"does not verify", func(o *sslsession.Session, x *Exchange) {
			o.PeerCertificate = serverCA.ServerUntil(time.Now().Add(-time.Hour), "a.example").Certificate[0]
		}},
	} {
		forClients(t, func(t *testing.T, version uint16) {
			o, x := clientExport(t, p, version)
			test.change(o, &x)
			if s, err := newClientCache(t, Config{}).Import(o, x); s != nil || err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("want an error about %q: %v", test.says, err)
			}
		})
	}
	o, x := clientExport(t, p, tls.VersionTLS13)
	if _, err := newClientCache(t, Config{MaxLineageAge: time.Hour}).Import(o, x); err == nil || !strings.Contains(err.Error(), "MaxLineageAge") {
		t.Error(err)
	}
	if _, err := newCache(t, Config{}).Import(o, Exchange{Config: serverConfig(), IDContext: x.IDContext, ServerName: "a.example"}); err == nil || !strings.Contains(err.Error(), "client's session") {
		t.Error("a client's session was imported for a server:", err)
	}
}

// TestImportedClientSessionEnds checks that the lifetime hint, the timeout and the
// server's certificate end an imported session.
func TestImportedClientSessionEnds(t *testing.T) {
	o, x := clientExport(t, newPeer(serverConfig()), tls.VersionTLS13)
	c := newClientCache(t, Config{})
	o.Timeout, o.TicketLifetimeHint = 7200, 60
	if s := must(c.Import(o, x))(t); s.Expires().Sub(s.Created()) != time.Minute {
		t.Error("it ends", s.Expires().Sub(s.Created()), "after it was made")
	}
	o.TicketLifetimeHint = 0
	if s := must(c.Import(o, x))(t); s.Expires().Sub(s.Created()) != 2*time.Hour {
		t.Error("it ends", s.Expires().Sub(s.Created()), "after it was made")
	}
	o.Timeout = 1 << 40
	if s := must(c.Import(o, x))(t); !s.Expires().Equal(must(o.Certificate())(t).NotAfter) {
		t.Error("it ends", s.Expires().Sub(s.Created()), "after it was made")
	}
}

// TestExportRefusesClients checks that a client's session does not leave its destination.
func TestExportRefusesClients(t *testing.T) {
	c := newClientCache(t, Config{})
	base := clientBase(tls.VersionTLS13)
	newPeer(serverConfig()).visitOK(t, clientConfig(t, c, base))
	other := base.Clone()
	other.RootCAs = otherRoot.Pool()
	for s := range c.Sessions() {
		for says, x := range map[string]Exchange{
			"another server name":  {Config: base, Addr: "b.example:443"},
			"root set":             {Config: other, Addr: clientAddr},
			"set Exchange.Addr":    {Config: base},
			"ServerName is for se": {Config: base, Addr: clientAddr, ServerName: "a.example"},
		} {
			if o, err := c.Export(s, x); o != nil || err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("want an error about %q: %v", says, err)
			}
		}
	}
}
