package halfshake

import (
	"context"
	"crypto/tls"
	"io"
	"testing"
)

// Offer selects the session, as SSL_set_session does: in any mode, once in TLS 1.3, and
// under ClientConfig only where it matches.
func TestOffer(t *testing.T) {
	forClients(t, func(t *testing.T, version uint16) {
		var made []*Session
		first := newClientCache(t, Config{Callbacks: Callbacks{New: func(_ context.Context, _ ConnInfo, s *Session) bool { made = append(made, s); return true }}})
		p := newPeer(serverConfig())
		p.visitOK(t, clientConfig(t, first, clientBase(version)))
		kept := made[0]

		c := newClientCache(t, Config{Mode: ModeBoth}) // has none of its own
		base := clientBase(version)
		base.ClientSessionCache = c.Offer(kept)
		config := clientConfig(t, c, base)
		if !p.visitOK(t, config).DidResume {
			t.Error("what was selected does not resume")
		}
		if got := p.visitOK(t, config).DidResume; got != (version == tls.VersionTLS12) {
			t.Errorf("the second time: resumed %v", got)
		}
		elsewhere := clientBase(version)
		elsewhere.ServerName, elsewhere.ClientSessionCache = "b.example", c.Offer(kept)
		nobody := clientBase(version)
		nobody.ClientSessionCache = c.Offer(nil)
		_, before := p.seen()
		p.visitOK(t, clientConfig(t, c, elsewhere))
		p.visitOK(t, clientConfig(t, c, nobody))
		if _, after := p.seen(); len(after) != len(before) {
			t.Error("offered under another name, or out of nothing")
		}
	})
}

// Offer in a configuration of the application's own: the name is checked, crypto/tls checks
// the roots, and only what resumed brings a session.
func TestOfferAlone(t *testing.T) {
	forClients(t, func(t *testing.T, version uint16) {
		c := newClientCache(t, Config{})
		p := newPeer(serverConfig())
		p.visitOK(t, clientConfig(t, c, clientBase(version)))
		s := onlySession(t, c)
		other := clientBase(version)
		other.ClientSessionCache, other.RootCAs, other.InsecureSkipVerify = c.Offer(s), nil, false
		base := clientBase(version)
		base.ServerName, base.ClientSessionCache = "b.example", c.Offer(s)
		p.visitOK(t, base)
		if _, offers := p.seen(); len(offers) != 0 {
			t.Error("offered under another name")
		}
		base.ServerName = "a.example"
		if !p.visitOK(t, base).DidResume {
			t.Error("not resumed")
		}
		if next := onlySession(t, c); next.Lineage() != s.Lineage() || next.Scope() != s.Scope() {
			t.Error("what the resumption made does not descend from it")
		}
		refused := newPeer(serverConfig())
		again := clientBase(version)
		again.ClientSessionCache = c.Offer(onlySession(t, c))
		if refused.visitOK(t, again).DidResume {
			t.Error("resumed")
		}
		for s := range c.Sessions() {
			if s.Lineage() != onlySession(t, c).Lineage() {
				t.Error("a session of an unknown configuration was cached")
			}
		}
	})
}

// visitByID makes one connection by Client.
func visitByID(t *testing.T, open opener, c *Cache) (resumed bool, err error) {
	t.Helper()
	near, far := socketPair(t)
	defer near.Close()
	s := open(far)
	served := make(chan struct{})
	go func() {
		defer close(served)
		defer s.Close()
		if s.HandshakeContext(context.Background()) == nil {
			s.Write([]byte{1})
			io.Copy(io.Discard, s)
		}
	}()
	conn := must(c.Client(near, clientBase(tls.VersionTLS12), clientAddr))(t)
	_, err = io.ReadFull(conn, make([]byte, 1))
	conn.Close()
	near.Close()
	<-served
	return conn.ConnectionState().DidResume, err
}

// A client of package tls12 resumes by session id, against Halfshake's own server and with
// the counters exact.
func TestClientBySessionID(t *testing.T) {
	server := newCache(t, Config{})
	open := viaIDs.open(t, server, serverConfig())
	var gone removed
	c := newClientCache(t, Config{Callbacks: Callbacks{Remove: gone.note}})
	visit := func() (resumed bool, err error) { return visitByID(t, open, c) }
	for i := range 4 {
		if resumed, err := visit(); err != nil || resumed != (i > 0) {
			t.Fatalf("connection %d: resumed %v, %v", i+1, resumed, err)
		}
	}
	if st := c.Stats(); st.Connect != 4 || st.ConnectGood != 4 || st.Hits != 3 || st.Misses != 0 || st.Number != 1 {
		t.Errorf("counters: %+v", st)
	}
	ticketed := newPeer(serverConfig())
	ticketed.visitOK(t, clientConfig(t, c, clientBase(tls.VersionTLS12)))
	if _, offers := ticketed.seen(); len(offers) != 0 {
		t.Error("crypto/tls offers a session without a ticket")
	}
	server.Flush(server.now().Add(MaxTimeout))
	if resumed, err := visit(); err != nil || resumed || c.Stats().Misses != 1 {
		t.Errorf("refused: resumed %v, %v, %d misses", resumed, err, c.Stats().Misses)
	}
	for s := range c.Sessions() {
		if s.field(fieldSessionID) != nil {
			wrong := withWrongSecret(s)
			recordClientSession(wrong)
			c.Add(wrong)
		}
	}
	if _, err := visit(); err == nil {
		t.Fatal("a wrong secret resumed")
	}
	if got := gone.all(); got[len(got)-1] != CauseAlert {
		t.Errorf("removals %v", got)
	}
}
