package inspect

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/internal/sessionrecord"
	"github.com/halfshake/halfshake/internal/sessionstate"
	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/internal/testleaks"
	"github.com/halfshake/halfshake/internal/testsecrets"
	"github.com/halfshake/halfshake/sslsession"
)

func TestMain(m *testing.M) { testleaks.Main(m) }

// An example is a session in one format, with the secrets in it.
type example struct {
	name    string
	data    []byte
	secrets [][]byte
}

var authority = testca.Root("authority", testca.ECDSA)

// made makes a session in a handshake, with the server name a.example, the protocol h2, and
// the application data "note".
func made(t testing.TB, version uint16, clientAuth tls.ClientAuthType) *halfshake.Session {
	t.Helper()
	var session *halfshake.Session
	cache, err := halfshake.New(halfshake.Config{
		Scope:    "test",
		Annotate: func(halfshake.ConnInfo, *halfshake.Session) []byte { return []byte("note") },
		Callbacks: halfshake.Callbacks{New: func(_ context.Context, _ halfshake.ConnInfo, s *halfshake.Session) bool {
			session = s
			return true
		}},
	})
	must(t, err)
	defer cache.Close()
	config := &tls.Config{
		Certificates: []tls.Certificate{authority.Server("a.example")}, NextProtos: []string{"h2"},
		ClientAuth: clientAuth, ClientCAs: authority.Pool(), MaxVersion: version,
	}
	front, back := net.Pipe()
	done := make(chan error, 1)
	go func() {
		server, err := cache.Server(back, config)
		if err == nil {
			_, err = server.Write([]byte("x"))
			server.Close()
		}
		done <- err
	}()
	client := tls.Client(front, &tls.Config{
		ServerName: "a.example", RootCAs: authority.Pool(), NextProtos: []string{"h2"}, MinVersion: version,
		Certificates:       []tls.Certificate{authority.Client("alice", time.Now().Add(time.Hour))},
		ClientSessionCache: tls.NewLRUClientSessionCache(1), KeyLogWriter: testsecrets.KeyLog(),
	})
	_, err = client.Read(make([]byte, 1))
	must(t, err)
	front.Close()
	must(t, <-done)
	return session
}

// secretsOf returns the id and the secret of a session of Halfshake's.
func secretsOf(t testing.TB, s *halfshake.Session) [][]byte {
	t.Helper()
	record, err := s.MarshalBinary()
	must(t, err)
	state, err := sessionrecord.Parse(record)
	must(t, err)
	st, err := sessionstate.Parse(state.Bytes)
	must(t, err)
	return [][]byte{s.ID(), st.Secret}
}

// full returns a session in which no field is absent.
func full() *sslsession.Session {
	return &sslsession.Session{
		Version: 0x0303, CipherSuite: 0xc02b, ID: bytes.Repeat([]byte("id"), 16), MasterKey: []byte(strings.Repeat("master key, ", 4)),
		Time: 1790000000, Timeout: 7200, PeerCertificate: authority.Cert.Raw, IDContext: []byte("context"),
		VerifyResult: 20, ServerName: []byte("a.example"), PSKIdentityHint: []byte("hint"), PSKIdentity: []byte("identity"),
		SRPUser: []byte("user"), TicketLifetimeHint: 3600, Ticket: []byte(strings.Repeat("ticket ", 30)), Compression: 1,
		Flags: 1, TicketAgeAdd: 1<<31 + 5, MaxEarlyData: 16384, ALPN: []byte("h2"), MaxFragmentLength: 4,
		TicketData: []byte("note"), Group: 29,
	}
}

// examples returns sessions in every format.
func examples(t testing.TB) []example {
	t.Helper()
	own := made(t, tls.VersionTLS13, tls.RequireAndVerifyClientCert)
	record, err := own.MarshalBinary()
	must(t, err)
	ssl := full()
	der, err := ssl.Marshal()
	must(t, err)
	text, err := ssl.MarshalPEM()
	must(t, err)
	secrets := [][]byte{ssl.ID, ssl.MasterKey, ssl.Ticket}
	all := []example{
		{"halfshake", record, secretsOf(t, own)},
		{"der", der, secrets},
		{"pem", append(append([]byte("SSL-Session:\n"), text...), text...), secrets},
	}
	for _, e := range all {
		testsecrets.Record(e.secrets...)
	}
	return all
}

// read decodes sessions that must be good.
func read(t testing.TB, data []byte) []*Session {
	t.Helper()
	sessions, err := Read(data)
	must(t, err)
	return sessions
}

// textOf returns the text view of sessions at a time.
func textOf(t testing.TB, sessions []*Session, now time.Time) string {
	t.Helper()
	var b bytes.Buffer
	must(t, Text(&b, "file", sessions, false, now))
	return b.String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
