package halfshake

import (
	"bytes"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/sslsession"
)

// leafOnly is a server whose clients' certificates verify without intermediates.
func leafOnly() *tls.Config {
	config := verifying()
	config.ClientCAs = clientCA.Pool()
	return config
}

// TestExchange has one cache resume what another made, by way of OpenSSL's encoding.
func TestExchange(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		for _, config := range []*tls.Config{serverConfig(), leafOnly()} {
			cfg := Config{Scope: "test", MaxLineageAge: -1, Annotate: func(ConnInfo, *Session) []byte { return []byte("note") }}
			from, to := newCache(t, cfg), newCache(t, cfg)
			cl := newClient(version)
			if config.ClientAuth != tls.NoClientCert {
				cl = cl.withCert(clientCert)
			}
			config.NextProtos, cl.protos = []string{"http/1.1"}, []string{"http/1.1"}
			x := Exchange{Config: config, IDContext: []byte("context"), ServerName: "A.example"}
			connectOK(t, d.open(t, from, config), cl)
			var s *Session
			for s = range from.Sessions() {
				der := must(must(from.Export(s, x))(t).Marshal())(t)
				imported := must(to.Import(must(sslsession.ParseStrict(der))(t), x))(t)
				if !to.Add(imported) {
					t.Fatal("Add")
				}
				again := must(must(to.Export(imported, Exchange{Config: config, IDContext: x.IDContext, ServerName: "a.example"}))(t).Marshal())(t)
				if lowered := bytes.Replace(again, []byte("A.example"), []byte("a.example"), 1); !bytes.Equal(lowered, der) {
					t.Error("exported again, it differs")
				}
				if string(imported.Data()) != "note" || imported.ALPN() != "http/1.1" || !imported.Expires().Equal(s.Expires()) ||
					!imported.Created().Equal(s.Created()) || imported.scope != s.scope {
					t.Errorf("%+v", imported)
				}
			}
			if !connectOK(t, d.open(t, to, config), cl).resumed {
				t.Error("the imported session does not resume")
			}
		}
	})
}

// TestRemovedLineageIsNotImportedAgain checks that the lineage of an imported session is
// always the same, so that it can be removed.
func TestRemovedLineageIsNotImportedAgain(t *testing.T) {
	x := Exchange{Config: serverConfig(), ServerName: "a.example"}
	for _, version := range versions {
		c := newCache(t, Config{})
		o := must(c.Export(madeUnder(t, c, x.Config, version), x))(t)
		first := must(c.Import(o, x))(t)
		if first.LineageStart() != first.Created() {
			t.Error("the lineage begins at", first.LineageStart())
		}
		if err := c.RemoveLineage(first.Lineage()); err != nil {
			t.Fatal(err)
		}
		if again := must(c.Import(o, x))(t); c.Add(again) {
			t.Error("a session of a removed lineage came back")
		}
	}
}

// TestImportRefuses has a session for each reason, and checks that the error names it.
func TestImportRefuses(t *testing.T) {
	type test struct {
		says   string
		change func(o *sslsession.Session, x *Exchange)
	}
	plain := []test{
		{"session id context", func(o *sslsession.Session, x *Exchange) { o.IDContext = []byte("other") }},
		{"session id context", func(o *sslsession.Session, x *Exchange) { x.IDContext = []byte("other") }},
		{"IDContext has more than 32", func(o *sslsession.Session, x *Exchange) { x.IDContext = make([]byte, 33) }},
		{"tls.Config is nil", func(o *sslsession.Session, x *Exchange) { x.Config = nil }},
		{"max_early_data", func(o *sslsession.Session, x *Exchange) { o.MaxEarlyData = 1 }},
		{"ticket", func(o *sslsession.Session, x *Exchange) { o.Ticket = []byte{} }},
		{"id is empty", func(o *sslsession.Session, x *Exchange) { o.ID = nil }},
		{"not supported", func(o *sslsession.Session, x *Exchange) { o.Version = tls.VersionTLS11 }},
		{"not supported", func(o *sslsession.Session, x *Exchange) { o.CipherSuite = 0xc0ff }},
		{"master key", func(o *sslsession.Session, x *Exchange) { o.MasterKey = o.MasterKey[1:] }},
		{"master key", func(o *sslsession.Session, x *Exchange) { o.MasterKey = make([]byte, len(o.MasterKey)) }},
		{"time or timeout", func(o *sslsession.Session, x *Exchange) { o.Time = 0 }},
		{"time or timeout", func(o *sslsession.Session, x *Exchange) { o.Time = 1 << 60 }},
		{"time or timeout", func(o *sslsession.Session, x *Exchange) { o.Timeout = -1 }},
		{"another server name", func(o *sslsession.Session, x *Exchange) { x.ServerName = "b.example" }},
		{"in the future", func(o *sslsession.Session, x *Exchange) { o.Time += 2 * 24 * 3600 }},
		{"pre-shared key", func(o *sslsession.Session, x *Exchange) { o.PSKIdentity = []byte("me") }},
		{"SRP", func(o *sslsession.Session, x *Exchange) { o.SRPUser = []byte("me") }},
		{"raw public key", func(o *sslsession.Session, x *Exchange) { o.PeerPublicKey = []byte{} }},
		{"another server name", func(o *sslsession.Session, x *Exchange) { o.ServerName = []byte{} }},
		{"ServerName has 256", func(o *sslsession.Session, x *Exchange) { x.ServerName = strings.Repeat("a", 256) }},
		{"application data", func(o *sslsession.Session, x *Exchange) { o.TicketData = make([]byte, MaxDataSize+1) }},
		{"out of range", func(o *sslsession.Session, x *Exchange) { o.Group = 1 << 16 }},
		{"does not ask for", func(o *sslsession.Session, x *Exchange) { o.PeerCertificate = clientCert.Certificate[0] }},
		{"configuration requires", func(o *sslsession.Session, x *Exchange) { x.Config = leafOnly() }},
		{"certificate that it depends on", func(o *sslsession.Session, x *Exchange) {
			x.Config = serverConfig()
			x.Config.Certificates = []tls.Certificate{serverCA.ServerUntil(time.Unix(o.Time-1, 0), "a.example")}
		}},
	}
	certified := []test{
		{"verify result 23", func(o *sslsession.Session, x *Exchange) { o.VerifyResult = 23 }},
		{"does not verify", func(o *sslsession.Session, x *Exchange) { x.Config = verifying() }},
		{"does not verify", func(o *sslsession.Session, x *Exchange) { x.Config.ClientCAs = otherRoot.Pool() }},
		{"peer certificate", func(o *sslsession.Session, x *Exchange) { o.PeerCertificate = []byte("not DER") }},
		{"does not verify", func(o *sslsession.Session, x *Exchange) {
			o.PeerCertificate = clientCA.Client("bob", time.Now().Add(-time.Hour)).Certificate[0]
		}},
		{"does not verify", func(o *sslsession.Session, x *Exchange) {
			o.PeerCertificate = testca.SelfSigned("mallory", time.Now().Add(time.Hour)).Certificate[0]
		}},
	}
	for _, version := range versions {
		for certificates, tests := range map[bool][]test{false: plain, true: certified} {
			for _, test := range tests {
				x := Exchange{Config: serverConfig(), IDContext: []byte("c"), ServerName: "a.example"}
				if certificates {
					x.Config = leafOnly()
				}
				c := newCache(t, Config{Scope: "test", MaxLineageAge: -1})
				o := must(c.Export(madeUnder(t, c, x.Config, version), x))(t)
				test.change(o, &x)
				if s, err := c.Import(o, x); s != nil || err == nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("want an error about %q: %v", test.says, err)
				}
			}
		}
	}
}

// TestImportNeedsExtendedMasterSecret refuses what the triple handshake could use.
func TestImportNeedsExtendedMasterSecret(t *testing.T) {
	x := Exchange{Config: serverConfig(), ServerName: "a.example"}
	c := newCache(t, Config{})
	o := must(c.Export(madeUnder(t, c, x.Config, tls.VersionTLS12), x))(t)
	o.Flags = 0
	if _, err := c.Import(o, x); err == nil || !strings.Contains(err.Error(), "RFC 7627") {
		t.Error(err)
	}
}

// TestImportOfUnknownAge checks that a MaxLineageAge keeps imported sessions out, as the
// default does for those with a client certificate.
func TestImportOfUnknownAge(t *testing.T) {
	made := newCache(t, Config{Scope: "test", MaxLineageAge: -1})
	for _, config := range []*tls.Config{serverConfig(), leafOnly()} {
		x := Exchange{Config: config, ServerName: "a.example"}
		o := must(made.Export(madeUnder(t, made, config, tls.VersionTLS13), x))(t)
		for age, want := range map[time.Duration]bool{-1: true, 0: config.ClientAuth == tls.NoClientCert, time.Hour: false} {
			_, err := newCache(t, Config{Scope: "test", MaxLineageAge: age}).Import(o, x)
			if (err == nil) != want || err != nil && !strings.Contains(err.Error(), "MaxLineageAge") {
				t.Errorf("MaxLineageAge %v: %v", age, err)
			}
		}
	}
}

// TestExportRefuses checks that a session does not leave its scope.
func TestExportRefuses(t *testing.T) {
	c := newCache(t, Config{Scope: "test"})
	s := madeUnder(t, c, serverConfig(), tls.VersionTLS13)
	for says, x := range map[string]Exchange{
		"another scope":     {Config: serverConfig(), ServerName: "b.example"},
		"scope":             {Config: verifying(), ServerName: "a.example"},
		"tls.Config is nil": {ServerName: "a.example"},
	} {
		if o, err := c.Export(s, x); o != nil || err == nil || !strings.Contains(err.Error(), says) {
			t.Error(err)
		}
	}
	if _, err := newCache(t, Config{Scope: "other"}).Export(s, Exchange{Config: serverConfig(), ServerName: "a.example"}); err == nil {
		t.Error("exported under another Scope")
	}
	if _, err := c.Export(withEarlyData(t, c), Exchange{Config: serverConfig(), ServerName: "a.example"}); err == nil || !strings.Contains(err.Error(), "max_early_data") {
		t.Error(err)
	}
	short := *s
	short.expires = short.created
	if _, err := c.Export(&short, Exchange{Config: serverConfig(), ServerName: "a.example"}); err == nil || !strings.Contains(err.Error(), "three seconds") {
		t.Error(err)
	}
	if _, err := c.Export(nil, Exchange{}); err == nil {
		t.Error("nil")
	}
	if _, err := c.Import(nil, Exchange{}); err == nil {
		t.Error("nil")
	}
}

// plainWithSeveral is a server with several certificates, none of which is known to be used.
func plainWithSeveral() *tls.Config {
	config := serverConfig()
	config.Certificates = append(config.Certificates, serverCert)
	return config
}

// TestImportBounds checks that an imported session ends when a full handshake's would, and
// is no larger.
func TestImportBounds(t *testing.T) {
	c := newCache(t, Config{Scope: "test", MaxLineageAge: -1})
	x := Exchange{Config: leafOnly(), ServerName: "a.example"}
	o := must(c.Export(madeUnder(t, c, x.Config, tls.VersionTLS13), x))(t)
	if o.VerifyResult != 0 {
		t.Error("verify result", o.VerifyResult)
	}
	o.Timeout = 1 << 40
	x.Config.Certificates = append(x.Config.Certificates, serverCert) // of several, none is known to be used
	leaf := must(o.Certificate())(t)
	if got := must(c.Import(o, x))(t); !got.Expires().Equal(leaf.NotAfter) {
		t.Errorf("it expires at %v, and the certificate at %v", got.Expires(), leaf.NotAfter)
	}
	requesting := Exchange{Config: serverConfig(), ServerName: "a.example"}
	requesting.Config.ClientAuth = tls.RequestClientCert
	if got := must(c.Export(must(c.Import(o, requesting))(t), requesting))(t); got.VerifyResult != verifyResultUnspecified || got.PeerCertificate == nil {
		t.Error("a certificate that nobody verified has the result", got.VerifyResult)
	}
	o.PeerCertificate, o.VerifyResult = nil, 0
	ahead := *o
	ahead.Time += 20 * 3600 // another machine's clock is ahead
	if got := must(c.Import(&ahead, Exchange{Config: plainWithSeveral(), ServerName: "a.example"}))(t); got.Expires().After(c.now().Add(MaxTimeout)) {
		t.Error("it expires at", got.Expires())
	}
	plain := Exchange{Config: plainWithSeveral(), ServerName: "a.example"}
	if got := must(c.Import(o, plain))(t); got.Expires().Sub(got.Created()) != MaxTimeout {
		t.Error("it expires after", got.Expires().Sub(got.Created()))
	}
	large := testca.Root(strings.Repeat("a large certificate ", 1000), testca.ECDSA).Cert
	o.PeerCertificate = large.Raw
	if _, err := c.Import(o, requesting); err == nil || !strings.Contains(err.Error(), "bytes") {
		t.Error(err)
	}
}
