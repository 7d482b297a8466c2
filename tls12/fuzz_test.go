package tls12

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// A scriptedConn reads from a script, in pieces of at most step bytes, and keeps what is
// written to it.
type scriptedConn struct {
	deadConn
	script []byte
	step   int
	wrote  bytes.Buffer
}

func (c *scriptedConn) Read(b []byte) (int, error) {
	if len(c.script) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), c.step)], c.script)
	c.script = c.script[n:]
	return n, nil
}

func (c *scriptedConn) Write(b []byte) (int, error) { return c.wrote.Write(b) }

// A recordingConn keeps what is written to it.
type recordingConn struct {
	net.Conn
	wrote []byte
}

func (c *recordingConn) Write(b []byte) (int, error) {
	c.wrote = append(c.wrote, b...)
	return c.Conn.Write(b)
}

// constant is a source of randomness under which every abbreviated handshake is the
// same, because it has no key exchange.
type constant struct{}

func (constant) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 7
	}
	return len(b), nil
}

// fixedSession is the session that the fuzzed server's Lookup always returns.
func fixedSession(t testing.TB) *Session {
	return &Session{
		ID: bytes.Repeat([]byte{3}, 32), MasterSecret: bytes.Repeat([]byte{4}, masterSecretLen),
		CipherSuite: ecdsaAES128.id, ExtendedMasterSecret: true, CreatedAt: time.Unix(1, 0),
		PeerCertificates: []*x509.Certificate{certificateOf(t, "ecdsa-p256").certificate.Leaf},
	}
}

// recordHandshakeBytes runs a full or abbreviated handshake, sends some data, and returns
// what each side wrote.
func recordHandshakeBytes(t testing.TB, client, server *tls.Config, sessions Sessions, s *Session) (fromClient, fromServer []byte) {
	clientConn, serverConn := tcpPair(t)
	a, b := &recordingConn{Conn: clientConn}, &recordingConn{Conn: serverConn}
	c, v := newClient(t, a, client, s), newServer(t, b, server, sessions)
	if clientErr, serverErr := handshakes(c, v); clientErr != nil || serverErr != nil {
		t.Fatal(clientErr, serverErr)
	}
	exchange(t, c, v, []byte("text"))
	return a.wrote, b.wrote
}

// FuzzServerTranscript sends anything to a server, which must finish without a panic and
// report nothing to its sessions that the client has not proved. One of the seeds is an
// abbreviated handshake that succeeds.
func FuzzServerTranscript(f *testing.F) {
	server, client := serverConfig(f), clientConfig(f)
	server.Rand, client.Rand, client.InsecureSkipVerify = constant{}, constant{}, true
	server.KeyLogWriter = nil
	server.ClientAuth = tls.RequestClientCert
	server.NextProtos = []string{"h2", "http/1.1"}
	client.Certificates = server.Certificates
	full, _ := recordHandshakeBytes(f, client, server, &mapSessions{}, nil)
	abbreviated, _ := recordHandshakeBytes(f, client, server, &oneSession{session: fixedSession(f)}, fixedSession(f))
	f.Add(full, 1000)
	f.Add(abbreviated, 1000)
	f.Add(abbreviated, 1)
	f.Add(slices.Concat(full[:200], recordOfCCS), 3)
	f.Fuzz(func(t *testing.T, script []byte, step int) {
		sessions := &oneSession{session: fixedSession(t)}
		s := newServer(t, &scriptedConn{script: script, step: max(step, 1)}, server, sessions)
		err := s.Handshake()
		io.Copy(io.Discard, s)
		s.Write([]byte("text"))
		s.Close()
		if got := sessions.counts(); got[0] > 1 || got[1] > 1 || got[2]+got[3] > 1 || err != nil && got[3] > 0 {
			t.Errorf("lookups, ids, stored and resumed are %v after %v", got, err)
		}
		if bytes.Equal(script, abbreviated) && err != nil {
			t.Errorf("the seed that succeeds fails: %v", err)
		}
		if len(s.in.buf) > largeBuffer || cap(s.in.handshake) > 2*maxMessage {
			t.Error("the buffers have grown")
		}
	})
}

// FuzzClientTranscript sends anything to a client.
func FuzzClientTranscript(f *testing.F) {
	server, client := serverConfig(f), clientConfig(f)
	server.Rand, client.Rand, client.InsecureSkipVerify = constant{}, constant{}, true
	server.KeyLogWriter = nil
	server.ClientAuth = tls.RequestClientCert
	client.Certificates = server.Certificates
	_, full := recordHandshakeBytes(f, client, server, &mapSessions{}, nil)
	_, abbreviated := recordHandshakeBytes(f, client, server, &oneSession{session: fixedSession(f)}, fixedSession(f))
	f.Add(full, 1000)
	f.Add(abbreviated, 1000)
	f.Add(abbreviated, 1)
	f.Fuzz(func(t *testing.T, script []byte, step int) {
		c := newClient(t, &scriptedConn{script: script, step: max(step, 1)}, client, fixedSession(t))
		err := c.HandshakeContext(context.Background())
		io.Copy(io.Discard, c)
		c.Close()
		if bytes.Equal(script, abbreviated) && (err != nil || !c.ConnectionState().DidResume) {
			t.Errorf("the seed that succeeds fails: %v", err)
		}
	})
}

// FuzzRecords reads records from any bytes, unprotected and protected.
func FuzzRecords(f *testing.F) {
	f.Add(slices.Concat(recordOfDone, recordOfCCS), 1, false)
	f.Add(newRecord(recordApplicationData, make([]byte, maxCiphertext)), 5000, true)
	f.Add(newRecord(recordAlert, make([]byte, 24)), 1, true)
	f.Fuzz(func(t *testing.T, script []byte, step int, protected bool) {
		in := &input{conn: &scriptedConn{script: script, step: max(step, 1)}}
		if protected {
			k := newSecrets(ecdsaChaCha20, make([]byte, masterSecretLen), make([]byte, randomLen), make([]byte, randomLen))
			in.open, _, _ = k.protections(ecdsaChaCha20)
			in.known = true
		}
		var again []byte
		for {
			typ, content, err := in.record()
			if err != nil {
				break
			}
			if protected {
				t.Fatal("a record opened that nobody sealed")
			}
			length := binary.BigEndian.AppendUint16(nil, uint16(len(content)))
			version := script[len(again)+1 : len(again)+3]
			again = slices.Concat(again, []byte{byte(typ)}, version, length, content)
		}
		if !bytes.HasPrefix(script, again) || len(in.buf) > largeBuffer {
			t.Error("the records are not what was sent, or the buffer has grown")
		}
	})
}

// FuzzMessageReencodes checks that what parses encodes to the same bytes.
func FuzzMessageReencodes(f *testing.F) {
	for _, m := range sampleMessages() {
		raw, err := encodeMessage(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, m := range emptyMessages() {
			if !parseMessage(m, raw) {
				continue
			}
			again, err := encodeMessage(m)
			if err != nil || !bytes.Equal(again, raw) {
				t.Errorf("%T: %x encodes as %x, %v", m, raw, again, err)
			}
			if hello, ok := m.(*clientHelloMsg); ok {
				new(offer).parse(hello.extensions.list)
			}
			if hello, ok := m.(*serverHelloMsg); ok {
				new(answer).parse(hello.extensions.list)
			}
		}
	})
}

func emptyMessages() []message {
	return []message{
		&clientHelloMsg{}, &serverHelloMsg{}, &certificateMsg{}, &certificateStatusMsg{}, &serverKeyExchangeMsg{},
		&certificateRequestMsg{}, &serverHelloDoneMsg{}, &clientKeyExchangeMsg{}, &certificateVerifyMsg{}, &finishedMsg{},
		&helloRequestMsg{},
	}
}

func sampleMessages() []message {
	random := make([]byte, randomLen)
	var offered, answered extensions
	offered.add(extServerName, addServerName("localhost"))
	offered.add(extStatusRequest, addBytes([]byte{statusOCSP, 0, 0, 0, 0}))
	offered.add(extSupportedGroups, addNumbers(groups))
	offered.add(extSignatureAlgorithms, addNumbers(allSchemes))
	offered.add(extALPN, addProtocols([]string{"h2", "http/1.1"}))
	offered.add(extSupportedVersions, addBytes([]byte{4, 3, 4, 3, 3}))
	answered.add(extRenegotiationInfo, func(b *cryptobyte.Builder) { b.AddUint8(0) })
	answered.add(extSCT, addTimestamps([][]byte{{1}, {2, 3}}))
	return []message{
		&clientHelloMsg{version: versionTLS12, random: random, sessionID: random, suites: []uint16{1, 2}, compressions: []byte{0}, extensions: offered},
		&clientHelloMsg{version: versionTLS12, random: random, suites: []uint16{1}, compressions: []byte{0}},
		&clientHelloMsg{version: versionTLS12, random: random, suites: []uint16{1}, compressions: []byte{0}, extensions: extensions{present: true}},
		&serverHelloMsg{version: versionTLS12, random: random, sessionID: []byte{1}, suite: 3, extensions: answered},
		&certificateMsg{}, &certificateMsg{[][]byte{{1}, {2, 3}}},
		&certificateStatusMsg{[]byte("staple")},
		&serverKeyExchangeMsg{29, []byte{1}, 4, []byte{5}},
		&certificateRequestMsg{[]byte{1, 64}, []uint16{4, 5}, [][]byte{{1}, {2}}},
		&serverHelloDoneMsg{}, &clientKeyExchangeMsg{[]byte{4}}, &certificateVerifyMsg{4, []byte{5}},
		&finishedMsg{make([]byte, verifyDataLen)}, &helloRequestMsg{},
	}
}

// TestMessages parses each sample, and checks that its prefixes and extensions do not
// parse, except for Finished, whose length depends on the suite.
func TestMessages(t *testing.T) {
	for i, m := range sampleMessages() {
		raw, err := encodeMessage(m)
		must(t, err)
		for _, other := range emptyMessages() {
			if got, want := parseMessage(other, raw), other.kind() == m.kind(); got != want {
				t.Errorf("sample %d parses as %T: %v", i, other, got)
			}
		}
		body := raw[messageHeaderLen:]
		for length := range len(body) {
			var b cryptobyte.Builder
			b.AddUint8(raw[0])
			b.AddUint24LengthPrefixed(addBytes(body[:length]))
			if short, _ := b.Bytes(); parsesAs(m, short) && !endsEarly(m, length) && m.kind() != typeFinished {
				t.Errorf("sample %d, %T, parses with %d of %d bytes", i, m, length, len(body))
			}
		}
		var b cryptobyte.Builder
		b.AddUint8(raw[0])
		b.AddUint24LengthPrefixed(addBytes(append(slices.Clone(body), 0)))
		if long, _ := b.Bytes(); parsesAs(m, long) && m.kind() != typeFinished {
			t.Errorf("sample %d, %T, parses with a byte too many", i, m)
		}
	}
}

// endsEarly reports whether a hello may end after length bytes, before its extensions.
func endsEarly(m message, length int) bool {
	switch m := m.(type) {
	case *clientHelloMsg:
		return length == 2+randomLen+1+len(m.sessionID)+2+2*len(m.suites)+1+len(m.compressions)
	case *serverHelloMsg:
		return length == 2+randomLen+1+len(m.sessionID)+2+1
	}
	return false
}

func parsesAs(m message, raw []byte) bool {
	for _, empty := range emptyMessages() {
		if empty.kind() == m.kind() {
			return parseMessage(empty, raw)
		}
	}
	return false
}
