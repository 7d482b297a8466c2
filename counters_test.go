package halfshake

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"
)

// A zoo is a cache with one session for each thing that can be wrong with one,
// and the clients that offer them.
type zoo struct {
	t     *testing.T
	cache *Cache
	open  opener
	ids   bool // TLS 1.2 by session id

	owner map[uint16]*client  // a client with a good session, by version
	good  map[uint16]*Session // and the session

	// Written while the zoo is built, read by callbacks.
	external                        map[string]*Session
	down, unauthorized, notAdmitted map[string]bool
}

func newZoo(t *testing.T, d door) *zoo {
	z := &zoo{
		t: t, ids: d.name == viaIDs.name, owner: map[uint16]*client{}, good: map[uint16]*Session{}, external: map[string]*Session{},
		down: map[string]bool{}, unauthorized: map[string]bool{}, notAdmitted: map[string]bool{},
	}
	z.cache = newCache(t, Config{
		MaxLineageAge: time.Hour, Timeout: time.Hour,
		TrustID: func(config *tls.Config) string {
			if config.ClientAuth == tls.RequireAnyClientCert {
				return ""
			}
			return "zoo"
		},
		Authorize: func(_ ConnInfo, s *Session) bool { return !z.unauthorized[s.id] },
		Callbacks: Callbacks{
			Get: func(_ context.Context, _ ConnInfo, id []byte) (*Session, error) {
				if z.down[string(id)] {
					return nil, errors.New("down")
				}
				return z.external[string(id)], nil
			},
			Admit: func(_ context.Context, _ ConnInfo, s *Session) bool { return !z.notAdmitted[s.id] },
		},
	})
	base := serverConfig()
	base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		config := verifying()
		switch hello.ServerName {
		case "verified.example":
			return config, nil
		case "unscoped.example":
			config.ClientAuth = tls.RequireAnyClientCert
			return config, nil
		}
		return nil, nil
	}
	z.open = d.open(t, z.cache, base)
	for _, v := range versions {
		z.owner[v] = newClient(v)
		z.good[v] = madeThrough(t, z.cache, z.open, z.owner[v])
		z.owner[v].jar.frozen = true
	}
	return z
}

// offering is a client of version that offers the session of id, whatever it is.
func (z *zoo) offering(version uint16, id []byte) *client {
	if byID := z.owner[version].jar.byID; byID != nil {
		own := *byID
		own.ID = id
		cl := newClient(version)
		cl.jar = &jar{byID: &own, frozen: true}
		return cl
	}
	_, state, err := z.owner[version].jar.session.ResumptionState()
	if err != nil {
		z.t.Fatal(err)
	}
	own := must(tls.ParseSessionState(must(state.Bytes())(z.t)))(z.t)
	cl := newClient(version)
	cl.jar = &jar{session: must(tls.NewResumptionState(id, own))(z.t), frozen: true}
	return cl
}

// wrong puts a changed copy of the good session into the external cache and
// returns a client that offers it.
func (z *zoo) wrong(version uint16, change func(s *Session)) *client {
	s := *z.good[version]
	s.serial, s.id = nextSerial(), string(randomID())
	id := s.id
	change(&s)
	z.external[id] = &s
	return z.offering(version, []byte(id))
}

// A visit is one kind of connection: what the client does, whether it resumes,
// and by how much it moves the counters beside accept and accept_good.
type visit struct {
	name    string
	client  *client // nil: a client that sends bytes
	bytes   []byte
	resumed bool
	fails   bool // the client ends the handshake
	moves   func(s *Stats)
}

func refuses(r Refusal, more func(*Stats)) func(*Stats) {
	return func(s *Stats) {
		s.CBHits++
		s.Misses++
		s.Refused[r]++
		if more != nil {
			more(s)
		}
	}
}

func (z *zoo) visits() []visit {
	nothing := func(*Stats) {}
	hit := func(s *Stats) { s.Hits++ }
	miss := func(s *Stats) { s.Misses++ }
	const v12, v13 = tls.VersionTLS12, tls.VersionTLS13
	visits := []visit{
		{name: "resumed 1.2", client: z.owner[v12], resumed: true, moves: hit},
		{name: "resumed 1.3", client: z.owner[v13], resumed: true, moves: hit},
		{name: "unknown 1.2", client: z.offering(v12, randomID()), moves: miss},
		{name: "unknown 1.3", client: z.offering(v13, randomID()), moves: miss},
		{name: "id too long", client: z.offering(v13, make([]byte, 33)), moves: nothing},
		{name: "ends the handshake", client: &client{version: v13, serverName: "nobody.example", jar: &jar{}}, fails: true, moves: nothing},
		{name: "HTTP", bytes: []byte("GET / HTTP/1.1\r\n\r\n"), moves: nothing},
		{name: "noise", bytes: noise(300), moves: nothing},
		{name: "nothing", moves: nothing},
	}
	for _, v := range versions {
		visits = append(visits, visit{name: "full", client: fresh(newClient(v)), moves: nothing})
		for r, change := range map[Refusal]func(*Session){
			RefusedWrongID:    func(s *Session) { s.id = string(randomID()) },
			RefusedMalformed:  func(s *Session) { s.state = s.state[1:] },
			RefusedVersion:    func(s *Session) { *s = withID(z.good[v12+v13-v], s.id) },
			RefusedScope:      func(s *Session) { s.scope[0]++ },
			RefusedExpired:    func(s *Session) { s.expires = s.created - 1 },
			RefusedLineageAge: func(s *Session) { s.lineage = newLineage(s.lineage.milli() - 4000_000) },
		} {
			var more func(*Stats)
			if r == RefusedExpired {
				more = func(s *Stats) { s.Timeouts++ }
			}
			visits = append(visits, visit{name: r.String(), client: z.wrong(v, change), moves: refuses(r, more)})
		}
		for r, ids := range map[Refusal]map[string]bool{RefusedUnauthorized: z.unauthorized, RefusedNotAdmitted: z.notAdmitted} {
			cl := z.wrong(v, func(s *Session) { ids[s.id] = true })
			visits = append(visits, visit{name: r.String(), client: cl, moves: refuses(r, nil)})
		}
		down := randomID()
		z.down[string(down)] = true
		visits = append(visits, visit{name: "store down", client: z.offering(v, down), moves: func(s *Stats) { s.Misses++; s.Refused[RefusedCallback]++ }})
		visits = append(visits, z.withCertificates(v)...)
	}
	suite := z.wrong(v12, func(s *Session) {})
	z.withSuite(suite, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256)
	noEMS := z.wrong(v12, func(s *Session) { s.state = withoutEMS(z.t, s.state) })
	return append(visits,
		visit{name: "suite", client: suite, moves: refuses(RefusedCipherSuite, nil)},
		visit{name: "no EMS", client: noEMS, moves: refuses(RefusedExtendedMasterSecret, nil)})
}

// withSuite makes cl offer another suite alone, and its session all the same.
func (z *zoo) withSuite(cl *client, suite uint16) {
	cl.suites = []uint16{suite}
	if cl.jar.byID != nil {
		cl.jar.byID.CipherSuite = suite
		return
	}
	id, state, _ := cl.jar.session.ResumptionState()
	other := bytes.Clone(must(state.Bytes())(z.t))
	other[3], other[4] = byte(suite>>8), byte(suite)
	cl.jar.session = must(tls.NewResumptionState(id, must(tls.ParseSessionState(other))(z.t)))(z.t)
}

// withCertificates are the visits to the names that ask for a certificate.
func (z *zoo) withCertificates(version uint16) []visit {
	digest := policyWith(verifying(), "", "zoo").digest("verified.example")
	untrusted := verifying()
	untrusted.ClientCAs = otherRoot.Pool()
	c := newCache(z.t, Config{Scope: "elsewhere"})
	cl := newClient(version).withCert(otherRoot.Client("eve", time.Now().Add(time.Hour)))
	theirs := madeThrough(z.t, c, viaServer.open(z.t, c, untrusted), cl)
	big := clientCA.Client("big", time.Now().Add(time.Hour))
	for range 40 {
		big.Certificate = append(big.Certificate, clientRoot.Cert.Raw)
	}
	at := func(name string, cl *client, cert tls.Certificate) *client {
		cl.serverName = name
		return cl.withCert(cert)
	}
	return []visit{
		{name: "no certificate", moves: refuses(RefusedClientCertificate, nil),
			client: at("verified.example", z.wrong(version, func(s *Session) { s.scope = digest }), clientCert)},
		{name: "untrusted", moves: refuses(RefusedUntrusted, nil),
			client: at("verified.example", z.wrong(version, func(s *Session) { *s = withID(theirs, s.id); s.scope = digest }), clientCert)},
		{name: "unscoped", moves: refuses(RefusedUnscoped, func(s *Stats) { s.Refused[RefusedUnscoped]++ }), // nor is the new one cached
			client: at("unscoped.example", z.wrong(version, func(*Session) {}), clientCert)},
		{name: "too large", moves: func(s *Stats) { s.Refused[RefusedTooLarge]++ },
			client: at("verified.example", fresh(newClient(version)), big)},
	}
}

func withID(s *Session, id string) Session {
	other := *s
	other.id = id
	return other
}

// fresh is cl, never offering anything.
func fresh(cl *client) *client { cl.jar.frozen = true; return cl }

func noise(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	b[0] = 22
	return b
}

// 10,000 handshakes of every kind, four at a time: what the counters say is what
// the clients saw, exactly. Where the engine is crypto/tls, a listener counts a
// handshake as good when VerifyConnection agrees, also if the client then ends it.
func TestCountersAreWhatClientsSaw(t *testing.T) {
	for _, d := range []door{viaServer, viaListener, viaIDs} {
		t.Run(d.name, func(t *testing.T) {
			z := newZoo(t, d)
			visits, workers := z.visits(), 4
			if z.ids { // a listener that reads ahead gives to whoever asks next, and noise to nobody
				visits, workers = slices.DeleteFunc(visits, func(v visit) bool { return v.client == nil }), 1
			}
			want := z.cache.Stats()
			seed := mrand.Uint64()
			t.Logf("seed %d, %d kinds of visit", seed, len(visits))
			random := mrand.New(mrand.NewPCG(seed, 0))
			jobs := make(chan visit)
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for v := range jobs {
						z.pay(v)
					}
				})
			}
			for range 3400 {
				v := visits[random.IntN(len(visits))]
				if v.client != nil {
					want.Accept++
					if !v.fails {
						want.AcceptGood++
					}
				}
				v.moves(&want)
				jobs <- v
			}
			close(jobs)
			wg.Wait()
			got := z.cache.Stats()
			want.Number, want.Bytes, want.CacheFull = got.Number, got.Bytes, got.CacheFull
			want.ResumedAges, want.ExpiredAges = got.ResumedAges, got.ExpiredAges
			if sum(got.ResumedAges) != got.Hits || sum(got.ExpiredAges) != got.Timeouts {
				t.Errorf("the ages are of %d and %d sessions, not %d and %d", sum(got.ResumedAges), sum(got.ExpiredAges), got.Hits, got.Timeouts)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// pay makes one visit and checks what its client saw.
func (z *zoo) pay(v visit) {
	if v.client == nil {
		if err := z.noiseOnly(v.bytes); err == nil {
			z.t.Errorf("%s: the handshake succeeded", v.name)
		}
		return
	}
	o := connect(z.t, z.open, v.client)
	if v.fails != (o.clientErr != nil) || o.resumed != v.resumed {
		z.t.Errorf("%s, %s: resumed %v; client %v; server %v", v.name, tls.VersionName(v.client.version), o.resumed, o.clientErr, o.serverErr)
	}
}

// noiseOnly sends bytes and ends.
func (z *zoo) noiseOnly(data []byte) error {
	near, far := socketPair(z.t)
	server := z.open(far)
	defer server.Close()
	near.Write(data)
	near.Close()
	if err := server.HandshakeContext(context.Background()); err != nil {
		return fmt.Errorf("as it should: %w", err)
	}
	return nil
}

func sum(ages Ages) (n uint64) {
	for _, count := range ages {
		n += count
	}
	return n
}
