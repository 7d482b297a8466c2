package halfshake

import (
	"crypto/tls"
	"strings"
	"testing"
)

// BenchmarkHooks is what the cache itself costs a resumed handshake: what
// UnwrapSession and WrapSession take, beside those of crypto/tls's own tickets.
func BenchmarkHooks(b *testing.B) {
	for _, version := range versions {
		for _, certs := range []string{"no certificate", "two certificates"} {
			config := serverConfig()
			if certs == "two certificates" {
				config = verifying()
			}
			c := newCache(b, Config{Scope: "test"})
			s := madeUnder(b, c, config, version)
			hooked := must(c.ServerConfig(config))(b)
			cs := tls.ConnectionState{Version: version, CipherSuite: s.suite, ServerName: s.serverName, DidResume: true}
			name := tls.VersionName(version) + "/" + certs
			b.Run(name+"/halfshake", func(b *testing.B) { roundTrip(b, hooked.UnwrapSession, hooked.WrapSession, s.ID(), cs) })
			ss, err := tls.ParseSessionState(s.state)
			if err != nil {
				b.Fatal(err)
			}
			config.SetSessionTicketKeys([][32]byte{{1}})
			ticket := must(config.EncryptTicket(cs, ss))(b)
			b.Run(name+"/ticket", func(b *testing.B) { roundTrip(b, config.DecryptTicket, config.EncryptTicket, ticket, cs) })
		}
	}
}

func roundTrip(b *testing.B, unwrap func([]byte, tls.ConnectionState) (*tls.SessionState, error), wrap func(tls.ConnectionState, *tls.SessionState) ([]byte, error), id []byte, cs tls.ConnectionState) {
	b.ReportAllocs()
	name := cs.ServerName
	for b.Loop() {
		cs.ServerName = strings.Clone(name) // as each ClientHello has its own
		ss, err := unwrap(id, cs)
		if err != nil || ss == nil {
			b.Fatal(ss, err)
		}
		if id, err = wrap(cs, ss); err != nil {
			b.Fatal(err)
		}
	}
}
