package tls12

import (
	"crypto/tls"
	"io"
	"slices"
	"testing"
)

// The tests in this file send messages out of order, twice or not at all, which must end
// the handshake. The kinds of mistake are those of "A Messy State of the Union"
// (Beurdouche et al., IEEE S&P 2015) and CVE-2014-0224.

// A mutation changes one flight of the side that is not under test.
type mutation struct {
	flight int
	change func(records [][]byte) [][]byte
	alert  tls.AlertError // what the side under test must send
}

func (m mutation) apply(flight int, records [][]byte) [][]byte {
	if flight == m.flight {
		return m.change(records)
	}
	return records
}

// without, with and instead change a flight at index i.
func without(i int) func([][]byte) [][]byte {
	return func(records [][]byte) [][]byte { return slices.Delete(records, i, i+1) }
}

func with(i int, record []byte) func([][]byte) [][]byte {
	return func(records [][]byte) [][]byte { return slices.Insert(records, i, record) }
}

func instead(i int, record []byte) func([][]byte) [][]byte {
	return func(records [][]byte) [][]byte { return slices.Replace(records, i, i+1, record) }
}

func twice(i int) func([][]byte) [][]byte {
	return func(records [][]byte) [][]byte { return slices.Insert(records, i, records[i]) }
}

func swapped(i, j int) func([][]byte) [][]byte {
	return func(records [][]byte) [][]byte {
		records[i], records[j] = records[j], records[i]
		return records
	}
}

// spanning puts a ChangeCipherSpec into the middle of message i.
func spanning(i int) func([][]byte) [][]byte {
	return func(records [][]byte) [][]byte {
		content := records[i][recordHeaderLen:]
		half := len(content) / 2
		return slices.Replace(records, i, i+1,
			newRecord(recordHandshake, content[:half]), recordOfCCS, newRecord(recordHandshake, content[half:]))
	}
}

// trailing appends a message to record i.
func trailing(i int, record []byte) func([][]byte) [][]byte {
	return func(records [][]byte) [][]byte {
		records[i] = newRecord(recordHandshake, slices.Concat(records[i][recordHeaderLen:], record[recordHeaderLen:]))
		return records
	}
}

var plainFinished = handshakeRecord(&finishedMsg{make([]byte, verifyDataLen)})

func TestServerOrderFull(t *testing.T) {
	// Flight 1 is ClientKeyExchange, ChangeCipherSpec, Finished.
	for name, m := range map[string]mutation{
		"CVE-2014-0224: ChangeCipherSpec before ClientKeyExchange": {1, swapped(0, 1), alertUnexpectedMessage},
		"CVE-2014-0224: a second, early ChangeCipherSpec":          {1, with(0, recordOfCCS), alertUnexpectedMessage},
		"ChangeCipherSpec first of all":                            {0, with(0, recordOfCCS), 255},
		"ChangeCipherSpec after ClientHello":                       {0, with(1, recordOfCCS), alertUnexpectedMessage},
		"ChangeCipherSpec twice":                                   {1, twice(1), alertBadRecordMAC},
		"ChangeCipherSpec of another content":                      {1, instead(1, newRecord(recordChangeCipherSpec, []byte{2})), alertDecodeError},
		"ChangeCipherSpec of two bytes":                            {1, instead(1, newRecord(recordChangeCipherSpec, []byte{1, 1})), alertDecodeError},
		"ChangeCipherSpec of none":                                 {1, instead(1, newRecord(recordChangeCipherSpec, nil)), alertDecodeError},
		"no ChangeCipherSpec":                                      {1, without(1), alertUnexpectedMessage},
		"no ClientKeyExchange":                                     {1, without(0), alertUnexpectedMessage},
		"ClientKeyExchange twice":                                  {1, twice(0), alertUnexpectedMessage},
		"ClientKeyExchange with its ClientHello":                   {0, trailing(0, handshakeRecord(&clientKeyExchangeMsg{[]byte{4}})), alertUnexpectedMessage},
		"ClientKeyExchange across ChangeCipherSpec":                {1, spanning(0), alertUnexpectedMessage},
		"ClientHello twice":                                        {1, with(0, handshakeRecord(&clientHelloMsg{random: make([]byte, 32), suites: []uint16{1}, compressions: []byte{0}})), alertUnexpectedMessage},
		"Finished that is not protected":                           {1, instead(1, plainFinished), alertUnexpectedMessage},
		"Finished that is not protected, after ChangeCipherSpec":   {1, instead(2, plainFinished), alertBadRecordMAC},
		"Finished before ChangeCipherSpec":                         {1, swapped(1, 2), alertUnexpectedMessage},
		"Finished alone":                                           {1, func(r [][]byte) [][]byte { return r[2:] }, 255},
		"Certificate that nobody asked for":                        {1, with(0, handshakeRecord(&certificateMsg{})), alertUnexpectedMessage},
		"CertificateVerify without a certificate":                  {1, with(1, handshakeRecord(&certificateVerifyMsg{1, nil})), alertUnexpectedMessage},
		"a message after ClientKeyExchange":                        {1, trailing(0, recordOfDone), alertUnexpectedMessage},
		"application data before ChangeCipherSpec":                 {1, with(1, newRecord(recordApplicationData, []byte("text"))), alertUnexpectedMessage},
		"empty application data before ChangeCipherSpec":           {1, with(1, newRecord(recordApplicationData, nil)), alertUnexpectedMessage},
		"application data first of all":                            {0, with(0, newRecord(recordApplicationData, []byte("text"))), 255},
		"an empty handshake record":                                {1, with(0, newRecord(recordHandshake, nil)), alertUnexpectedMessage},
		"a heartbeat":                                              {1, with(0, newRecord(24, []byte{1, 0, 0})), alertUnexpectedMessage},
		"HelloRequest":                                             {1, with(0, handshakeRecord(&helloRequestMsg{})), alertUnexpectedMessage},
		"ServerHelloDone":                                          {1, with(0, recordOfDone), alertUnexpectedMessage},
		"a message of an unknown type":                             {1, with(0, newRecord(recordHandshake, []byte{99, 0, 0, 0})), alertUnexpectedMessage},
	} {
		t.Run(name, func(t *testing.T) { testServerOrder(t, m, serverConfig(t), clientConfig(t), nil) })
	}
}

func TestServerOrderClientCertificate(t *testing.T) {
	server, client := serverConfig(t), clientConfig(t)
	server.ClientAuth = tls.RequireAnyClientCert
	client.Certificates = []tls.Certificate{certificateOf(t, "ecdsa-p256").certificate}
	// Flight 1 is Certificate, ClientKeyExchange, CertificateVerify,
	// ChangeCipherSpec, Finished.
	for name, m := range map[string]mutation{
		"no Certificate":                             {1, without(0), alertUnexpectedMessage},
		"Certificate twice":                          {1, twice(0), alertUnexpectedMessage},
		"an empty Certificate":                       {1, instead(0, handshakeRecord(&certificateMsg{})), alertHandshakeFailure},
		"no CertificateVerify":                       {1, without(2), alertUnexpectedMessage},
		"CertificateVerify before ClientKeyExchange": {1, swapped(1, 2), alertUnexpectedMessage},
		"CertificateVerify twice":                    {1, twice(2), alertUnexpectedMessage},
		"CertificateVerify after ChangeCipherSpec":   {1, swapped(2, 3), alertUnexpectedMessage},
		"CertificateVerify of another handshake":     {1, instead(2, handshakeRecord(foreignVerify(t))), alertDecryptError},
		"CertificateVerify across ChangeCipherSpec":  {1, spanning(2), alertUnexpectedMessage},
		"CVE-2014-0224: early ChangeCipherSpec":      {1, with(1, recordOfCCS), alertUnexpectedMessage},
	} {
		t.Run(name, func(t *testing.T) { testServerOrder(t, m, server, client, nil) })
	}
}

// foreignVerify signs something else with the client's key.
func foreignVerify(t *testing.T) *certificateVerifyMsg {
	certificate := certificateOf(t, "ecdsa-p256").certificate
	scheme, signature, err := sign(&tls.Config{}, &certificate, allSchemes, []byte("another handshake"))
	if err != nil {
		t.Fatal(err)
	}
	return &certificateVerifyMsg{scheme, signature}
}

func TestServerOrderAbbreviated(t *testing.T) {
	// Flight 1 is ChangeCipherSpec, Finished.
	for name, m := range map[string]mutation{
		"no ChangeCipherSpec":                      {1, without(0), alertUnexpectedMessage},
		"ChangeCipherSpec twice":                   {1, twice(0), alertBadRecordMAC},
		"ChangeCipherSpec with the ClientHello":    {0, with(1, recordOfCCS), 255},
		"Finished that is not protected":           {1, instead(0, plainFinished), alertUnexpectedMessage},
		"ClientKeyExchange":                        {1, with(0, handshakeRecord(&clientKeyExchangeMsg{[]byte{4}})), alertUnexpectedMessage},
		"a record under another key":               {1, instead(1, newRecord(recordHandshake, make([]byte, 40))), alertBadRecordMAC},
		"a record shorter than a tag":              {1, instead(1, newRecord(recordHandshake, make([]byte, 23))), alertBadRecordMAC},
		"application data before ChangeCipherSpec": {1, with(0, newRecord(recordApplicationData, []byte("text"))), alertUnexpectedMessage},
	} {
		t.Run(name, func(t *testing.T) {
			sessions := &mapSessions{}
			made := establish(t, clientConfig(t), serverConfig(t), sessions)
			testServerOrder(t, m, serverConfig(t), clientConfig(t), &proposal{sessions, made})
			if got := sessions.counts(); got[3] != 0 {
				t.Errorf("Resumed was called %d times", got[3])
			}
			if len(sessions.endings) != 1 { // of the first connection
				t.Errorf("the endings are %v", sessions.endings)
			}
		})
	}
}

type proposal struct {
	sessions *mapSessions
	session  *Session
}

// testServerOrder runs a mutated client. The alert 255 stands for any error, where the
// mistake may be noticed elsewhere first.
func testServerOrder(t *testing.T, m mutation, server, client *tls.Config, p *proposal) {
	if p == nil {
		p = &proposal{sessions: &mapSessions{}}
	}
	before := p.sessions.counts()
	clientConn, serverConn := tcpPair(t)
	c := newClient(t, &mutatedConn{Conn: clientConn, mutate: m.apply}, client, p.session)
	s := newServer(t, serverConn, server, p.sessions)
	_, serverErr := handshakes(c, s)
	checkRefused(t, s, serverErr, m.alert)
	if after := p.sessions.counts(); after[2] != before[2] || after[3] != before[3] {
		t.Error("a session was stored or resumed")
	}
}

// checkRefused checks that the handshake failed and that nothing can be read or written
// after it.
func checkRefused(t *testing.T, side *Conn, err error, alert tls.AlertError) {
	t.Helper()
	if err == nil {
		t.Fatal("the handshake succeeded")
	}
	if alert != 255 {
		wantAlert(t, err, "local error", alert)
	}
	if n, readErr := side.Read(make([]byte, 1)); n != 0 || readErr == nil || readErr == io.EOF {
		t.Errorf("Read returns %d and %v", n, readErr)
	}
	if n, writeErr := side.Write([]byte("text")); n != 0 || writeErr == nil {
		t.Errorf("Write returns %d and %v", n, writeErr)
	}
	if side.ConnectionState().HandshakeComplete || side.Session() != nil {
		t.Error("the handshake counts as complete")
	}
}

func TestClientOrderFull(t *testing.T) {
	server, client := serverConfig(t), clientConfig(t)
	// Flight 0 is ServerHello, Certificate, ServerKeyExchange, ServerHelloDone;
	// flight 1 is ChangeCipherSpec, Finished.
	for name, m := range map[string]mutation{
		"no ServerHello":                             {0, without(0), alertUnexpectedMessage},
		"ServerHello twice":                          {0, twice(0), alertUnexpectedMessage},
		"no Certificate":                             {0, without(1), alertUnexpectedMessage},
		"an empty Certificate":                       {0, instead(1, handshakeRecord(&certificateMsg{})), alertDecodeError},
		"Certificate twice":                          {0, twice(1), alertUnexpectedMessage},
		"no ServerKeyExchange":                       {0, without(2), alertUnexpectedMessage},
		"ServerKeyExchange twice":                    {0, twice(2), alertUnexpectedMessage},
		"ServerHelloDone early":                      {0, with(2, recordOfDone), alertUnexpectedMessage},
		"a message after ServerHelloDone":            {0, trailing(3, recordOfDone), alertUnexpectedMessage},
		"CertificateStatus that was not announced":   {0, with(2, handshakeRecord(&certificateStatusMsg{[]byte("staple")})), alertUnexpectedMessage},
		"NewSessionTicket":                           {1, with(0, newRecord(recordHandshake, []byte{4, 0, 0, 6, 0, 0, 0, 0, 0, 0})), alertUnexpectedMessage},
		"CVE-2014-0224: ChangeCipherSpec in flight":  {0, with(1, recordOfCCS), alertUnexpectedMessage},
		"ChangeCipherSpec and Finished, and no more": {0, func(r [][]byte) [][]byte { return [][]byte{r[0], recordOfCCS, plainFinished} }, alertUnexpectedMessage},
		"no ChangeCipherSpec":                        {1, without(0), alertUnexpectedMessage},
		"ChangeCipherSpec twice":                     {1, twice(0), alertBadRecordMAC},
		"Finished that is not protected":             {1, instead(1, plainFinished), alertBadRecordMAC},
		"application data before Finished":           {1, with(0, newRecord(recordApplicationData, []byte("text"))), alertUnexpectedMessage},
		"Certificate across ChangeCipherSpec":        {0, spanning(1), alertUnexpectedMessage},
		"HelloRequest":                               {0, with(0, handshakeRecord(&helloRequestMsg{})), alertUnexpectedMessage},
	} {
		t.Run(name, func(t *testing.T) { testClientOrder(t, m, server, client, nil) })
	}
}

func TestClientOrderAbbreviated(t *testing.T) {
	sessions := &mapSessions{}
	server, client := serverConfig(t), clientConfig(t)
	made := establish(t, client, server, sessions)
	// Flight 0 is ServerHello, ChangeCipherSpec, Finished.
	hello := func(edit func(*serverHelloMsg)) func([][]byte) [][]byte {
		return func(records [][]byte) [][]byte { return editServerHello(records, edit) }
	}
	for name, m := range map[string]mutation{
		"no ChangeCipherSpec":            {0, without(1), alertUnexpectedMessage},
		"ChangeCipherSpec twice":         {0, twice(1), alertBadRecordMAC},
		"Finished that is not protected": {0, instead(2, plainFinished), alertBadRecordMAC},
		"Certificate all the same":       {0, with(1, handshakeRecord(&certificateMsg{})), alertUnexpectedMessage},
		"another session id":             {0, hello(func(m *serverHelloMsg) { m.sessionID = []byte{1} }), alertUnexpectedMessage},
		"CVE-2010-4180: another suite":   {0, hello(func(m *serverHelloMsg) { m.suite = ecdsaAES256.id }), alertIllegalParameter},
		"without extended master secret": {0, hello(func(m *serverHelloMsg) {
			m.extensions.list = slices.DeleteFunc(m.extensions.list, func(e extension) bool { return e.kind == extExtendedMasterSecret })
		}), alertHandshakeFailure},
	} {
		t.Run(name, func(t *testing.T) { testClientOrder(t, m, server, client, &proposal{sessions, made}) })
	}
}

func testClientOrder(t *testing.T, m mutation, server, client *tls.Config, p *proposal) {
	if p == nil {
		p = &proposal{sessions: &mapSessions{}}
	}
	clientConn, serverConn := tcpPair(t)
	c := newClient(t, clientConn, client, p.session)
	s := newServer(t, &mutatedConn{Conn: serverConn, mutate: m.apply}, server, p.sessions)
	clientErr, _ := handshakes(c, s)
	checkRefused(t, c, clientErr, m.alert)
}

// TestAfterHandshake asks for renegotiation from either side, and repeats Finished.
func TestAfterHandshake(t *testing.T) {
	for name, test := range map[string]struct {
		message    message
		fromServer bool
		alert      tls.AlertError
	}{
		"ClientHello":  {&clientHelloMsg{random: make([]byte, 32), suites: []uint16{1}, compressions: []byte{0}}, false, alertNoRenegotiation},
		"Finished":     {&finishedMsg{make([]byte, verifyDataLen)}, false, alertUnexpectedMessage},
		"ServerHello":  {&serverHelloMsg{random: make([]byte, 32)}, true, alertUnexpectedMessage},
		"HelloRequest": {&helloRequestMsg{}, true, alertNoRenegotiation},
	} {
		t.Run(name, func(t *testing.T) {
			sessions := &mapSessions{}
			c, s := connect(t, clientConfig(t), serverConfig(t), sessions, nil)
			from, to := c, s
			if test.fromServer {
				from, to = s, c
			}
			raw, err := encodeMessage(test.message)
			must(t, err)
			_, err = from.out.write(recordHandshake, raw)
			must(t, err)
			_, err = to.Read(make([]byte, 1))
			wantAlert(t, err, "local error", test.alert)
			if _, again := to.Read(make([]byte, 1)); again != err {
				t.Errorf("a second Read returns %v", again)
			}
			if _, err := to.Write([]byte("text")); err == nil {
				t.Error("Write goes on")
			}
			if !test.fromServer && !slices.Equal(sessions.endings, []Ending{AlertEnd}) {
				t.Errorf("the endings are %v", sessions.endings)
			}
			if test.alert != alertNoRenegotiation { // which is a warning
				_, err = from.Read(make([]byte, 1))
				wantAlert(t, err, "remote error", test.alert)
			}
		})
	}
}
