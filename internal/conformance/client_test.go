package conformance

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"net"
	"strings"

	"github.com/halfshake/halfshake/internal/testsecrets"
	"github.com/halfshake/halfshake/tls12"
)

// A client is what connects to the servers.
type client struct {
	world      *world
	serverName string
	version    string // "1.2", "1.3" or "any"
	config     *tls.Config
	dropEMS    bool
	session    *clientSession // what it offers next
}

// A clientSession is a session as the client has it, of either engine.
type clientSession struct {
	byTicket *tls.ClientSessionState
	byID     *tls12.Session
}

func (w *world) client(name string) *client {
	c := w.clients[name]
	if c == nil {
		c = &client{world: w, serverName: "a.example", version: "1.2", config: &tls.Config{
			RootCAs: serverCA.Pool(), Time: w.clock, KeyLogWriter: testsecrets.KeyLog(),
		}}
		if w.variant.protocol == TLS13 {
			c.version = "1.3"
		}
		w.clients[name] = c
	}
	return c
}

// configure changes what the client offers from now on.
func (c *client) configure(words []string) {
	if v := option(words, "version"); v != "" {
		c.version = v
	}
	if v := option(words, "name"); v != "" {
		c.serverName = v
	}
	if v := option(words, "suites"); v != "" {
		c.config.CipherSuites = suiteList(v)
	}
	if v := option(words, "groups"); v != "" {
		c.config.CurvePreferences = groupList(v)
	}
	if v := option(words, "alpn"); v != "" {
		c.config.NextProtos = strings.Split(v, ",")
	}
	if option(words, "certificate") != "" {
		c.config.Certificates = []tls.Certificate{aliceCert}
	}
	if v := option(words, "ems"); v != "" {
		c.dropEMS = v == "no"
	}
}

// A clientConn is the client's side of a connection.
type clientConn struct {
	conn
	jar *jar
	own *tls12.Conn // of package tls12
}

// open returns the client's side of a connection that offers a session. The client is of
// package tls12 if the server resumes by session id.
func (c *client) open(raw net.Conn, offered *clientSession) (clientConn, error) {
	config := c.config.Clone()
	config.MinVersion, config.MaxVersion = tls.VersionTLS12, tls.VersionTLS13
	switch c.version {
	case "1.2":
		config.MaxVersion = tls.VersionTLS12
	case "1.3":
		config.MinVersion = tls.VersionTLS13
	}
	if config.ServerName = c.serverName; c.serverName == "none" {
		config.ServerName, config.InsecureSkipVerify = "", true
	}
	if c.dropEMS {
		raw = &withoutEMS{Conn: raw}
	}
	if c.world.variant.engine == "tls12" && c.version == "1.2" {
		var session *tls12.Session
		if offered != nil {
			session = offered.byID
		}
		own, err := tls12.Client(raw, config, session)
		return clientConn{own, nil, own}, err
	}
	j := &jar{}
	if offered != nil {
		j.offered = offered.byTicket
	}
	config.ClientSessionCache = j
	return clientConn{tls.Client(raw, config), j, nil}, nil
}

// adopted returns the session that the client would offer next: a new one, or else the
// one that it resumed.
func (c clientConn) adopted(offered *clientSession) *clientSession {
	switch {
	case c.own != nil && c.own.Session() != nil:
		return &clientSession{byID: c.own.Session()}
	case c.own == nil && c.jar.received != nil:
		return &clientSession{byTicket: c.jar.received}
	case c.ConnectionState().DidResume:
		return offered
	}
	return nil
}

// A jar holds the sessions of one connection.
type jar struct{ offered, received *tls.ClientSessionState }

func (j *jar) Get(string) (*tls.ClientSessionState, bool) { return j.offered, j.offered != nil }

func (j *jar) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		j.received = s
	}
}

// id returns what the client offers to resume the session.
func (s *clientSession) id() []byte {
	switch {
	case s == nil:
		return nil
	case s.byID != nil:
		return s.byID.ID
	}
	ticket, _, _ := s.byTicket.ResumptionState()
	return ticket
}

// The encoding of a crypto/tls session begins with its version (2 bytes), its type (1),
// its suite (2), its time (8), and the length of its secret.
const (
	suiteAt  = 3
	secretAt = 13
)

// secret returns the session's secret.
func (s *clientSession) secret() []byte {
	if s.byID != nil {
		return s.byID.MasterSecret
	}
	_, state, err := s.byTicket.ResumptionState()
	if err != nil {
		return nil
	}
	encoded, _ := state.Bytes()
	return encoded[secretAt+1 : secretAt+1+int(encoded[secretAt])]
}

// forged returns a copy with another secret or suite.
func (s *clientSession) forged(words []string) (*clientSession, error) {
	how, suite := option(words, "secret"), suites12[option(words, "suite")]
	if s.byID != nil {
		forged := *s.byID
		if how != "" {
			forged.MasterSecret = spoiled(forged.MasterSecret, how)
		}
		if suite != 0 {
			forged.CipherSuite = suite
		}
		return &clientSession{byID: &forged}, nil
	}
	ticket, state, err := s.byTicket.ResumptionState()
	if err != nil {
		return nil, err
	}
	encoded, err := state.Bytes()
	if err != nil {
		return nil, err
	}
	encoded = bytes.Clone(encoded)
	if how != "" {
		copy(encoded[secretAt+1:], spoiled(s.secret(), how))
	}
	if suite != 0 {
		binary.BigEndian.PutUint16(encoded[suiteAt:], suite)
	}
	if state, err = tls.ParseSessionState(encoded); err != nil {
		return nil, err
	}
	forged, err := tls.NewResumptionState(ticket, state)
	return &clientSession{byTicket: forged}, err
}

func (w *world) known(name string) *clientSession {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.learned[name]
	if s == nil {
		w.t.Fatalf("%s: no client has received the session %s", w.scenario.Name, name)
	}
	return s
}

// learn remembers a session that a client received, by its name, and returns the name.
func (w *world) learn(s *clientSession) string {
	name := w.nameOf(s.id())
	if s != nil {
		testsecrets.Record(s.id(), s.secret())
		w.mu.Lock()
		defer w.mu.Unlock()
		w.learned[name] = s
	}
	return name
}

func (w *world) forge(words []string) {
	forged, err := w.known(words[2]).forged(words)
	if err != nil {
		w.t.Fatal(err)
	}
	w.client(words[1]).session = forged
}

// withoutEMS takes the extended master secret out of the ClientHello that is written
// first. It serves only handshakes that the server aborts: later the two sides would not
// agree on what was said.
type withoutEMS struct {
	net.Conn
	written bool
}

func (c *withoutEMS) Write(b []byte) (int, error) {
	if c.written {
		return c.Conn.Write(b)
	}
	c.written = true
	n, err := c.Conn.Write(cutExtension(bytes.Clone(b), extendedMasterSecret))
	if n > 0 {
		n = len(b)
	}
	return n, err
}

const extendedMasterSecret = 23

// cutExtension takes an extension without data out of a record that holds a ClientHello.
func cutExtension(record []byte, kind uint16) []byte {
	const sessionIDAt = 5 + 4 + 2 + 32 // behind the headers, the version and the random
	at := sessionIDAt + 1 + int(record[sessionIDAt])
	at += 2 + int(binary.BigEndian.Uint16(record[at:])) // suites
	at += 1 + int(record[at])                           // compression
	extensions := at
	for at += 2; at < len(record); at += 4 + int(binary.BigEndian.Uint16(record[at+2:])) {
		if binary.BigEndian.Uint16(record[at:]) == kind {
			record = append(record[:at], record[at+4:]...)
			binary.BigEndian.PutUint16(record[3:], uint16(len(record)-5))
			record[6], record[7], record[8] = byte((len(record)-9)>>16), byte((len(record)-9)>>8), byte(len(record)-9)
			binary.BigEndian.PutUint16(record[extensions:], uint16(len(record)-extensions-2))
			break
		}
	}
	return record
}
