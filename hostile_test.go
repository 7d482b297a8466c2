package halfshake

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/sessionstate"
	"golang.org/x/crypto/cryptobyte"
)

// offerPSKs is a TLS 1.3 ClientHello (RFC 8446 section 4.1.2) that proposes
// identities, with binders of zeros: the client proves nothing.
func offerPSKs(identities [][]byte) []byte { return offerPSKsIn(identities, 1) }

// offerPSKsIn is offerPSKs with psk_key_exchange_modes; without modes, the extension is
// left out.
func offerPSKsIn(identities [][]byte, modes ...byte) []byte {
	share, _ := ecdh.X25519().GenerateKey(rand.Reader)
	var b cryptobyte.Builder
	extension := func(b *cryptobyte.Builder, id uint16, body func(b *cryptobyte.Builder)) {
		b.AddUint16(id)
		b.AddUint16LengthPrefixed(body)
	}
	list := func(values ...uint16) func(*cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				for _, v := range values {
					b.AddUint16(v)
				}
			})
		}
	}
	b.AddBytes([]byte{22, 3, 1})
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint8(1) // ClientHello
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint16(tls.VersionTLS12)
			b.AddBytes(make([]byte, 32))
			b.AddUint8(0) // no session_id
			list(tls.TLS_AES_128_GCM_SHA256)(b)
			b.AddBytes([]byte{1, 0}) // no compression
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				extension(b, 43, func(b *cryptobyte.Builder) { b.AddBytes([]byte{2, 3, 4}) }) // supported_versions
				extension(b, 10, list(uint16(tls.X25519)))
				extension(b, 13, list(uint16(tls.ECDSAWithP256AndSHA256)))
				if len(modes) > 0 {
					extension(b, 45, func(b *cryptobyte.Builder) { b.AddBytes(append([]byte{byte(len(modes))}, modes...)) })
				}
				extension(b, 51, func(b *cryptobyte.Builder) { // key_share
					b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
						b.AddUint16(uint16(tls.X25519))
						b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(share.PublicKey().Bytes()) })
					})
				})
				extension(b, 41, func(b *cryptobyte.Builder) { // pre_shared_key, the last
					b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
						for _, id := range identities {
							b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(id) })
							b.AddUint32(0)
						}
					})
					b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
						for range identities {
							b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(make([]byte, 32)) })
						}
					})
				})
			})
		})
	})
	return b.BytesOrPanic()
}

// send makes one connection of a client that sends bytes and goes.
func send(t testing.TB, open opener, data []byte) error {
	t.Helper()
	near, far := socketPair(t)
	server := open(far)
	defer server.Close()
	near.Write(data)
	go func() {
		near.SetDeadline(time.Now().Add(10 * time.Second))
		io.ReadAtLeast(near, make([]byte, 1), 1)
		near.Close()
	}()
	server.SetDeadline(time.Now().Add(10 * time.Second))
	return server.HandshakeContext(context.Background())
}

// What a client that has proved nothing sends costs one read of the store, or
// five under ServerConfig, however many identities it lists; ids of impossible
// lengths (CVE-2002-0656) cost none.
func TestReadsPerClientHello(t *testing.T) {
	for _, d := range doors {
		gets := 0
		c := newCache(t, Config{Callbacks: Callbacks{Get: func(context.Context, ConnInfo, []byte) (*Session, error) { gets++; return nil, nil }}})
		open := d.open(t, c, serverConfig())
		want := map[string]int{"ServerConfig": 5, "NewListener": 1, "Server": 1}[d.name]
		var many [][]byte
		for range 100 {
			many = append(many, randomID())
		}
		send(t, open, offerPSKs(many))
		if gets != want || c.Stats().Misses != uint64(want) {
			t.Errorf("%s: %d reads and %d misses for 100 identities, want %d", d.name, gets, c.Stats().Misses, want)
		}
		gets = 0
		send(t, open, offerPSKs([][]byte{make([]byte, 33), make([]byte, 1000), {}}))
		if gets != 0 {
			t.Errorf("%s: %d reads for ids that cannot be", d.name, gets)
		}
	}
}

// TestPSKModes checks rows 130 and 144 of docs/openssl.md: a client that offers no usable
// PSK mode gets no ticket, and its identities are not looked up.
func TestPSKModes(t *testing.T) {
	const pskKE, pskDHEKE, unknown = 0, 1, 9
	for _, test := range []struct {
		modes  []byte
		usable bool
	}{{[]byte{unknown, pskDHEKE}, true}, {[]byte{pskKE}, false}, {[]byte{unknown}, false}, {nil, false}} {
		c := newCache(t, Config{})
		send(t, viaConfig.open(t, c, serverConfig()), offerPSKsIn([][]byte{randomID()}, test.modes...))
		if st := c.Stats(); st.Accept != 1 || (st.Misses == 1) != test.usable || (st.Number == 1) != test.usable {
			t.Errorf("modes %v: %d look-ups, %d sessions", test.modes, st.Misses, st.Number)
		}
	}
}

// A client that knows an id and not the secret (it saw a ClientHello) gets
// nothing, and takes nothing: the session stays and its owner resumes. In libssl
// a wrong binder, or a suite the session does not have, removes it.
func TestIDWithoutSecretRemovesNothing(t *testing.T) {
	for _, d := range doors {
		c := newCache(t, Config{})
		got := recordRemovals(c)
		open, cl := d.open(t, c, serverConfig()), newClient(tls.VersionTLS13)
		connectOK(t, open, cl)
		if err := send(t, open, offerPSKs([][]byte{cl.jar.id()})); err == nil {
			t.Error("a binder of zeros was accepted")
		}
		if len(*got) != 0 || !connectOK(t, open, cl).resumed {
			t.Errorf("%s: removed %v", d.name, *got)
		}
	}
	for _, d := range append(doors, viaIDs) { // TLS 1.2: a stranger with the owner's id
		c := newCache(t, Config{})
		got := recordRemovals(c)
		open, cl := d.open(t, c, serverConfig()), newClient(tls.VersionTLS12)
		connectOK(t, open, cl)
		if o := connect(t, open, stranger(t, cl)); o.serverErr == nil {
			t.Error("a wrong Finished was accepted")
		}
		if len(*got) != 0 || !connectOK(t, open, cl).resumed {
			t.Errorf("%s: removed %v", d.name, *got)
		}
		if st := c.Stats(); (d.name == "Server" || d.name == viaIDs.name) && (st.AcceptGood != 2 || st.Hits != 1) {
			t.Errorf("a failed handshake was counted as good: %+v", st)
		}
	}
}

// stranger is a client with cl's ticket and another secret.
func stranger(t *testing.T, cl *client) *client {
	t.Helper()
	if cl.jar.byID != nil {
		wrong := *cl.jar.byID
		wrong.MasterSecret = bytes.Repeat([]byte{1}, 48)
		other := newClient(cl.version)
		other.jar.byID, other.jar.frozen = &wrong, true
		return other
	}
	ticket, state, err := cl.jar.session.ResumptionState()
	if err != nil {
		t.Fatal(err)
	}
	data := must(state.Bytes())(t)
	data = bytes.Clone(data)
	data[14]++ // the first byte of the secret
	wrong := must(tls.ParseSessionState(data))(t)
	other := newClient(cl.version)
	other.jar.session = must(tls.NewResumptionState(ticket, wrong))(t)
	other.jar.frozen = true
	return other
}

// CVE-2010-4180: a client cannot move a TLS 1.2 session to another suite, nor
// remove it by not offering its own (libssl: fatal, and the session is gone).
func TestSuiteIsBound(t *testing.T) {
	for _, d := range doors {
		c := newCache(t, Config{})
		got := recordRemovals(c)
		open, cl := d.open(t, c, serverConfig()), newClient(tls.VersionTLS12)
		cl.suites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
		connectOK(t, open, cl)
		_, state, _ := cl.jar.session.ResumptionState()
		session := cl.jar.session
		cl.suites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}
		data := bytes.Clone(must(state.Bytes())(t))
		data[3], data[4] = 0xcc, 0xa9 // so that the client offers the session all the same
		ticket, _, _ := session.ResumptionState()
		cl.jar.session = must(tls.NewResumptionState(ticket, must(tls.ParseSessionState(data))(t)))(t)
		if o := connectOK(t, open, cl); o.resumed || o.state.CipherSuite != tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 {
			t.Errorf("%s: resumed %v with %x", d.name, o.resumed, o.state.CipherSuite)
		}
		cl.suites, cl.jar.session = nil, session
		if o := connectOK(t, open, cl); len(*got) != 0 || !o.resumed || o.state.CipherSuite != tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 {
			t.Errorf("%s: removed %v; then resumed %v", d.name, *got, o.resumed)
		}
	}
}

// RFC 7627 section 5.3, the one exception to "never a failed one": a session made
// with extended master secret, offered without it. crypto/tls aborts.
func TestSessionWithEMSOfferedWithoutAborts(t *testing.T) {
	c := newCache(t, Config{})
	open, cl := viaServer.open(t, c, serverConfig()), newClient(tls.VersionTLS12)
	connectOK(t, open, cl)
	err := send(t, open, helloWithTicket(cl.jar.id()))
	if err == nil || c.Stats().Number != 1 || c.Stats().AcceptGood != 1 {
		t.Errorf("err %v; %+v", err, c.Stats())
	}
	if !connectOK(t, open, cl).resumed {
		t.Error("the session is gone")
	}
}

// A flight that such a client leaves behind holds no secret, and Close ends it.
func TestCloseEndsFlights(t *testing.T) {
	c := newCache(t, Config{})
	open, cl := viaConfig.open(t, c, serverConfig()), newClient(tls.VersionTLS12)
	connectOK(t, open, cl)
	send(t, open, helloWithTicket(cl.jar.id()))
	if c.join.len() != 1 {
		t.Fatal("no flight is left behind")
	}
	if c.Close(); c.join.len() != 0 {
		t.Error("a flight outlives Close")
	}
}

// What a ClientHello lists, 64 kB at the most, is not kept for the connection's
// life.
func TestHelloIsNotKept(t *testing.T) {
	for _, d := range []door{viaListener, viaServer} {
		c := newCache(t, Config{})
		near, far := socketPair(t)
		server := d.open(t, c, serverConfig())(far)
		go tls.Client(near, newClient(tls.VersionTLS13).config()).Handshake()
		if err := server.HandshakeContext(context.Background()); err != nil {
			t.Fatal(err)
		}
		if n := len(handshakeOf(server).offered); n != 0 {
			t.Errorf("%s: %d suites are kept", d.name, n)
		}
		near.Close()
		server.Close()
	}
}

// helloWithTicket is a TLS 1.2 ClientHello with a ticket and without extended
// master secret.
func helloWithTicket(ticket []byte) []byte {
	var b cryptobyte.Builder
	b.AddBytes([]byte{22, 3, 1})
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint8(1)
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint16(tls.VersionTLS12)
			b.AddBytes(make([]byte, 32))
			b.AddUint8(0)
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				for _, suite := range tls.CipherSuites() {
					b.AddUint16(suite.ID)
				}
			})
			b.AddBytes([]byte{1, 0})
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				for _, e := range []struct {
					id   uint16
					body []byte
				}{{0, []byte("\x00\x0c\x00\x00\x09a.example")}, {10, []byte{0, 4, 0, 29, 0, 23}}, {11, []byte{1, 0}}, {13, []byte{0, 2, 4, 3}}, {35, ticket}} {
					b.AddUint16(e.id)
					b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(e.body) })
				}
			})
		})
	})
	return b.BytesOrPanic()
}

// A configuration with hooks of its own is an error where it can be seen, and is
// left as it is where GetConfigForClient returns it.
func TestForeignHooksInGetConfigForClient(t *testing.T) {
	forEach(t, doors, func(t *testing.T, d door, version uint16) {
		stateless := serverConfig()
		stateless.WrapSession, stateless.UnwrapSession = stateless.EncryptTicket, stateless.DecryptTicket
		base := serverConfig()
		base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return stateless, nil }
		c := newCache(t, Config{})
		open, cl := d.open(t, c, base), newClient(version)
		connectOK(t, open, cl)
		if !connectOK(t, open, cl).resumed || c.Stats().Number != 0 {
			t.Errorf("the application's own tickets do not work beside the cache: %+v", c.Stats())
		}
	})
}

// A configuration of ServerConfig in GetConfigForClient brings its own hooks: each
// handshake is counted once.
func TestOwnHooksInGetConfigForClient(t *testing.T) {
	forEach(t, doors, func(t *testing.T, d door, version uint16) {
		c := newCache(t, Config{})
		tenant := must(c.ServerConfig(serverConfig()))(t)
		base := serverConfig()
		base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return tenant, nil }
		open, cl := d.open(t, c, base), newClient(version)
		for range 2 {
			connectOK(t, open, cl)
		}
		if st := c.Stats(); st.Accept != 2 || st.AcceptGood != 2 || st.Hits != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// An error of the application's GetConfigForClient ends the handshake as before.
func TestGetConfigForClientError(t *testing.T) {
	base := serverConfig()
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("no such host") }
	c := newCache(t, Config{})
	for _, d := range doors {
		if o := connect(t, d.open(t, c, base), newClient(tls.VersionTLS13)); o.serverErr == nil {
			t.Errorf("%s: no error", d.name)
		}
	}
}

// CVE-2010-3864, CVE-2014-3509, CVE-2015-1791 (OpenSSL): threads that shared a
// cached session wrote to it. Here many connections resume one session at once,
// and what the engine and the layers above it write goes to a copy of their own;
// the race detector watches.
func TestSharedSessionIsNotWritten(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		c := newCache(t, Config{Scope: "test"})
		open, cl := d.open(t, c, verifying()), newClient(version).withCert(clientCert)
		s := madeThrough(t, c, open, cl)
		before := must(s.MarshalBinary())(t)
		cl.jar.frozen = true
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if o := connect(t, open, cl); !o.resumed {
					t.Errorf("not resumed: %v, %v", o.clientErr, o.serverErr)
				}
				clear(s.ID())
				if ss, err := sessionstate.Resumable(s.state, false); err == nil {
					ss.Extra = append(ss.Extra, []byte("a layer above"))
				}
			})
		}
		wg.Wait()
		if !bytes.Equal(must(s.MarshalBinary())(t), before) {
			t.Error("the cached session changed")
		}
	})
}

// CVE-2014-3567 (OpenSSL): each ticket that was refused left memory behind. Ids
// that nobody made, and sessions that are refused, leave nothing here. (The full
// handshakes that follow leave a session each, where the client's end is not
// awaited; those are what a flood is made of.)
func TestRefusalsLeaveNothing(t *testing.T) {
	for _, d := range doors {
		store := newShelf()
		c := newCache(t, Config{Callbacks: Callbacks{Get: store.callbacks().Get}})
		s := madeUnder(t, c, serverConfig(), tls.VersionTLS13)
		c.internal.Drop(sessionEntry{s})
		store.sessions[s.id] = must(s.MarshalBinary())(t)
		open := d.open(t, c, serverConfig())
		for range 100 {
			send(t, open, offerPSKs([][]byte{randomID()}))
			send(t, open, offerPSKs([][]byte{s.ID()})) // for a.example, which this client does not ask for
		}
		want := map[string]uint64{"ServerConfig": 200, "NewListener": 200, "Server": 0}[d.name]
		_, copied := c.internal.Get(s.id)
		if st := c.Stats(); copied || st.Number != want || st.Refused[RefusedScope] != 100 || c.join.len() != 0 {
			t.Errorf("%s: copied %v, %d in flight; %+v", d.name, copied, c.join.len(), st)
		}
	}
}
