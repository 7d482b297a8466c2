package tls12

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"testing"
)

// A puppet is a client whose second flight the test writes itself, under the right keys.
type puppet struct {
	*Conn
	resumption *resumptionAccepted
	done       *flightRead
	keys       *protection
}

// newPuppet proposes a session and stops before the client's Finished.
func newPuppet(t *testing.T, conn net.Conn, config *tls.Config, s *Session) *puppet {
	t.Helper()
	c := newClient(t, conn, config, s)
	c.out.hold = true
	sent, err := (&clientStart{&clientHandshake{c: c, ctx: context.Background()}}).sendHello()
	must(t, err)
	hello, err := sent.readServerHello()
	must(t, err)
	p := &puppet{Conn: c}
	if s != nil {
		p.resumption, err = hello.acceptResumption()
		must(t, err)
		c.agreed.unique = p.secrets.verifyData(labelServerFinished, p.resumption.transcript.sum())
		must(t, c.readFinished(&p.resumption.transcript, p.resumption.server, c.agreed.unique))
		p.keys = p.resumption.client
		return p
	}
	known, err := hello.readCertificate()
	must(t, err)
	share, err := known.readKeyExchange()
	must(t, err)
	p.done, err = share.readDone()
	must(t, err)
	master, err := p.done.sendKeyExchange()
	must(t, err)
	p.keys, _, err = c.establish(p.done.suite, master, p.done.hello.random, p.done.reply.random)
	must(t, err)
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// verifyData returns the right content of the puppet's Finished.
func (p *puppet) verifyData() []byte {
	if p.resumption != nil {
		return p.secrets.verifyData(labelClientFinished, p.resumption.transcript.sum())
	}
	return p.secrets.verifyData(labelClientFinished, p.done.transcript.sum())
}

// TestFinishedUnderKeys sends wrong records after ChangeCipherSpec. Only a client with
// the keys can do that; in an abbreviated handshake it owns the session, and still
// Resumed must not be called.
func TestFinishedUnderKeys(t *testing.T) {
	text := []byte("text")
	for name, test := range map[string]struct {
		send  func(*puppet) error
		alert tls.AlertError
	}{
		"a wrong Finished": {func(p *puppet) error {
			wrong := p.verifyData()
			wrong[11] ^= 1
			return p.sendRaw(recordHandshake, &finishedMsg{wrong})
		}, alertDecryptError},
		"the server's Finished": {func(p *puppet) error {
			if p.resumption == nil {
				return p.sendRaw(recordHandshake, &finishedMsg{p.secrets.verifyData(labelServerFinished, p.done.transcript.sum())})
			}
			return p.sendRaw(recordHandshake, &finishedMsg{p.agreed.unique})
		}, alertDecryptError},
		"a short Finished": {func(p *puppet) error {
			return p.sendRaw(recordHandshake, &finishedMsg{p.verifyData()[:11]})
		}, alertDecryptError},
		"an empty Finished": {func(p *puppet) error {
			return p.sendRaw(recordHandshake, &finishedMsg{})
		}, alertDecryptError},
		"a long Finished": {func(p *puppet) error {
			return p.sendRaw(recordHandshake, &finishedMsg{append(p.verifyData(), 0)})
		}, alertDecryptError},
		"application data before Finished": {func(p *puppet) error {
			_, err := p.out.write(recordApplicationData, text)
			return err
		}, alertUnexpectedMessage},
		"ChangeCipherSpec before Finished": {func(p *puppet) error {
			_, err := p.out.write(recordChangeCipherSpec, []byte{1})
			return err
		}, alertUnexpectedMessage},
		"another message": {func(p *puppet) error {
			return p.sendRaw(recordHandshake, &serverHelloDoneMsg{})
		}, alertUnexpectedMessage},
		"Finished twice in a record": {func(p *puppet) error {
			raw, _ := encodeMessage(&finishedMsg{p.verifyData()})
			_, err := p.out.write(recordHandshake, slices.Concat(raw, raw))
			return err
		}, alertUnexpectedMessage},
	} {
		t.Run(name, func(t *testing.T) {
			sessions := &mapSessions{}
			made := establish(t, clientConfig(t), serverConfig(t), sessions)
			for _, proposed := range []*Session{nil, made} {
				before := sessions.counts()
				clientConn, serverConn := tcpPair(t)
				s := newServer(t, serverConn, serverConfig(t), sessions)
				done := make(chan error, 1)
				go func() { done <- handshakeOrClose(s) }()
				p := newPuppet(t, clientConn, clientConfig(t), proposed)
				must(t, p.out.changeCipherSpec(p.keys))
				must(t, test.send(p))
				must(t, p.out.flush())
				checkRefused(t, s, <-done, test.alert)
				if after := sessions.counts(); after[2] != before[2] || after[3] != before[3] {
					t.Errorf("resuming %v: a session was stored or resumed", proposed != nil)
				}
				if sessions.byID[string(made.ID)] == nil || len(sessions.endings) != 1 {
					t.Error("a client that has proved nothing has ended a session")
				}
			}
		})
	}
}

func (p *puppet) sendRaw(typ recordType, m message) error {
	raw, err := encodeMessage(m)
	if err == nil {
		_, err = p.out.write(typ, raw)
	}
	return err
}

// TestFinishedBeforeKeys sends the right Finished too early: unprotected, in one record
// with the message before ChangeCipherSpec, where a careless reader would take it for
// the one that must follow.
func TestFinishedBeforeKeys(t *testing.T) {
	sessions := &mapSessions{}
	made := establish(t, clientConfig(t), serverConfig(t), sessions)
	early := func(side **Conn) func([][]byte) [][]byte {
		return func(records [][]byte) [][]byte {
			finished := handshakeRecord(&finishedMsg{(*side).agreed.unique})
			return trailing(0, finished)(records)[:2]
		}
	}
	t.Run("client", func(t *testing.T) {
		clientConn, serverConn := tcpPair(t)
		var c *Conn
		m := mutation{1, early(&c), alertUnexpectedMessage}
		c = newClient(t, &mutatedConn{Conn: clientConn, mutate: m.apply}, clientConfig(t), nil)
		s := newServer(t, serverConn, serverConfig(t), sessions)
		_, err := handshakes(c, s)
		checkRefused(t, s, err, m.alert)
	})
	t.Run("server", func(t *testing.T) {
		clientConn, serverConn := tcpPair(t)
		var s *Conn
		m := mutation{0, early(&s), alertUnexpectedMessage}
		c := newClient(t, clientConn, clientConfig(t), made)
		s = newServer(t, &mutatedConn{Conn: serverConn, mutate: m.apply}, serverConfig(t), sessions)
		err, _ := handshakes(c, s)
		checkRefused(t, c, err, m.alert)
	})
}
