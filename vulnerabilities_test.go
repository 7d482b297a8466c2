package halfshake

import (
	"crypto/tls"
	"testing"

	"github.com/halfshake/halfshake/internal/sessionstate"
)

// TestCVE_2022_30629 checks that ticket_age_add is random for each ticket: an observer who
// sees ages with the same offset can link the connections of one client (RFC 8446 section
// 4.6.1). The engine chooses it, in a full handshake and in a resumption.
func TestCVE_2022_30629(t *testing.T) {
	for _, d := range doors {
		c, clients := newCache(t, Config{}), newClientCache(t, Config{})
		p := &peer{open: d.open(t, c, serverConfig())}
		config := clientConfig(t, clients, clientBase(tls.VersionTLS13))
		seen := make(map[uint32]bool)
		for range 4 {
			p.visitOK(t, config)
			for s := range clients.Sessions() {
				seen[must(sessionstate.ParseClient(s.state))(t).AgeAdd] = true
			}
		}
		if len(seen) != 4 || seen[0] {
			t.Errorf("%s: %d values in 4 tickets, or 0", d.name, len(seen))
		}
	}
}

// TestOpenSSLTicketAbortLeak refuses every resumption at the last rung, many times: what a
// refused session took is given back. In OpenSSL's test_ticket_abort_session_leak, the
// session leaked.
func TestOpenSSLTicketAbortLeak(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		c := newCache(t, Config{Size: 4, Authorize: func(ConnInfo, *Session) bool { return false }})
		open, cl := d.open(t, c, serverConfig()), newClient(version)
		for range 20 {
			if connectOK(t, open, cl).resumed {
				t.Fatal("resumed")
			}
		}
		if st := c.Stats(); st.Number > 4 || st.Refused[RefusedUnauthorized] != 19 {
			t.Errorf("%+v", st)
		}
		if n := c.join.len(); n != 0 {
			t.Errorf("%d handshakes are remembered", n)
		}
	})
}
