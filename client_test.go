package halfshake

import (
	"bytes"
	"context"
	"crypto/tls"
	"slices"
	"sync"
	"testing"
	"time"
)

// removals recorded by a test.
type removed struct {
	mu     sync.Mutex
	causes []Cause
}

func (r *removed) note(_ context.Context, _ *Cache, _ *Session, cause Cause) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.causes = append(r.causes, cause)
}

func (r *removed) all() []Cause {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.causes)
}

// A client resumes. A TLS 1.3 session is used once: it leaves the cache when it is
// offered, and the connection brings another. A TLS 1.2 session stays, and a new ticket
// replaces it under the same id. Get is never called, and ModeNoInternalLookup has no
// effect (SSL_CTX_sess_set_get_cb(3), SSL_CTX_set_session_cache_mode(3)).
func TestClientResumes(t *testing.T) {
	forClients(t, func(t *testing.T, version uint16) {
		var gone removed
		var made []*Session
		c := newClientCache(t, Config{Mode: ModeClient | ModeNoInternalLookup, Callbacks: Callbacks{
			New:    func(_ context.Context, info ConnInfo, s *Session) bool { made = append(made, s); return true },
			Remove: gone.note,
			Get: func(context.Context, ConnInfo, []byte) (*Session, error) {
				t.Error("Get was called by a client")
				return nil, nil
			},
		}})
		config := clientConfig(t, c, clientBase(version))
		p := newPeer(serverConfig())
		for i := range 5 {
			if cs := p.visitOK(t, config); cs.DidResume != (i > 0) {
				t.Fatalf("connection %d: resumed %v", i+1, cs.DidResume)
			}
		}
		_, offers := p.seen()
		if len(offers) != 4 || version == tls.VersionTLS13 && len(slices.CompactFunc(offers, bytes.Equal)) != 4 {
			t.Errorf("%d offers, or one ticket twice", len(offers))
		}
		for _, s := range made {
			if !s.Client() || s.Lineage() != made[0].Lineage() || !s.Proved() || len(s.PeerCertificates()) == 0 {
				t.Errorf("%v: not one lineage of proved client sessions", s)
			}
		}
		if version == tls.VersionTLS13 {
			if got := gone.all(); !slices.Equal(got, slices.Repeat([]Cause{CauseUsed}, 4)) || len(made) != 5 {
				t.Errorf("New ran %d times, removals %v", len(made), got)
			}
		} else {
			// crypto/tls's server issues a ticket again when it resumes.
			if got := gone.all(); !slices.Equal(got, slices.Repeat([]Cause{CauseReplaced}, len(made)-1)) || made[0].id != made[len(made)-1].id {
				t.Errorf("New ran %d times, removals %v", len(made), got)
			}
		}
		st := c.Stats()
		if st.Connect != 5 || st.ConnectGood != 5 || st.Hits != 4 || st.Misses != 0 || st.Number != 1 || st.Accept != 0 {
			t.Errorf("counters: %+v", st)
		}
	})
}

// A session whose server has lost it is refused: a full handshake, and a miss.
func TestClientSessionRefused(t *testing.T) {
	forClients(t, func(t *testing.T, version uint16) {
		c := newClientCache(t, Config{})
		config := clientConfig(t, c, clientBase(version))
		newPeer(serverConfig()).visitOK(t, config)
		other := newPeer(serverConfig()) // has other ticket keys
		if cs := other.visitOK(t, config); cs.DidResume {
			t.Fatal("resumed")
		}
		if _, offers := other.seen(); len(offers) != 1 {
			t.Errorf("%d offers", len(offers))
		}
		if st := c.Stats(); st.Misses != 1 || st.Hits != 0 || st.ConnectGood != 2 {
			t.Errorf("counters: %+v", st)
		}
		if cs := other.visitOK(t, config); !cs.DidResume {
			t.Error("the session of the full handshake does not resume")
		}
	})
}

// An expired session is not offered, nor one that is older than its server's lifetime
// hint (row 159).
func TestClientSessionExpires(t *testing.T) {
	forClients(t, func(t *testing.T, version uint16) {
		now := newClock()
		var gone removed
		c := newClientCache(t, Config{Timeout: time.Minute, Time: now.Now, Callbacks: Callbacks{Remove: gone.note}})
		config, p := clientConfig(t, c, clientBase(version)), newPeer(serverConfig())
		p.visitOK(t, config)
		now.Advance(61 * time.Second)
		if cs := p.visitOK(t, config); cs.DidResume {
			t.Error("resumed")
		}
		if _, offers := p.seen(); len(offers) != 0 {
			t.Errorf("%d offers", len(offers))
		}
		if st := c.Stats(); st.Timeouts != 1 || st.Refused[RefusedExpired] != 1 || st.Misses != 0 {
			t.Errorf("counters: %+v", st)
		}
		if got := gone.all(); len(got) == 0 || got[0] != CauseExpired {
			t.Errorf("removals %v", got)
		}
	})
}

// A client's session has application data too, which its resumptions inherit beside the
// ticket.
func TestClientApplicationData(t *testing.T) {
	forClients(t, func(t *testing.T, version uint16) {
		calls := 0
		c := newClientCache(t, Config{Annotate: func(ConnInfo, *Session) []byte { calls++; return []byte("note") }})
		config, p := clientConfig(t, c, clientBase(version)), newPeer(serverConfig())
		for i := range 3 {
			if cs := p.visitOK(t, config); cs.DidResume != (i > 0) {
				t.Errorf("connection %d: resumed %v", i+1, cs.DidResume)
			}
			s := onlySession(t, c)
			again := must(ParseSession(must(s.MarshalBinary())(t)))(t)
			if string(again.Data()) != "note" || !bytes.Equal(again.field(fieldTicket), s.field(fieldTicket)) {
				t.Errorf("connection %d: the data is %q", i+1, again.Data())
			}
		}
		if calls != 1 {
			t.Errorf("Annotate was called %d times", calls)
		}
	})
}
