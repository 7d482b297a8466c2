package sslsession

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/internal/testleaks"
	"github.com/halfshake/halfshake/internal/testsecrets"
)

func TestMain(m *testing.M) { testleaks.Main(m) }

// observed is a session that libssl 3.0.19 wrote: TLS 1.3, TLS_AES_128_GCM_SHA256, made at
// second 1000, with the key "0123" and no handshake.
const observed = "303302010102020304040213010400040430313233a104020203e8a20402020130a4020400a503020101b104020200ffb303020100"

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	must(t, err)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestObserved(t *testing.T) {
	der := unhex(t, observed)
	s, err := Parse(der)
	must(t, err)
	want := &Session{
		Version: 0x0304, CipherSuite: 0x1301, ID: []byte{}, MasterKey: []byte("0123"), IDContext: []byte{},
		Time: 1000, Timeout: 304, VerifyResult: 1, MaxFragmentLength: 255,
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("%#v", *s)
	}
	wantSame(t, s, der)
}

func wantSame(t *testing.T, s *Session, der []byte) {
	t.Helper()
	if again, err := s.Marshal(); err != nil || !bytes.Equal(again, der) {
		t.Errorf("encoded again:\n%x, %v, want\n%x", again, err, der)
	}
}

// full returns a session in which no field is absent.
func full() *Session {
	leaf := testca.Root("peer", testca.ECDSA).Cert
	s := &Session{
		Version: 0x0303, CipherSuite: 0xc02b, ID: bytes.Repeat([]byte{1}, 32), MasterKey: []byte(strings.Repeat("master key ", 4)),
		Time: 1790000000, Timeout: 7200, PeerCertificate: leaf.Raw, IDContext: []byte("context"),
		VerifyResult: 20, ServerName: []byte("a.example"), PSKIdentityHint: []byte("hint"), PSKIdentity: []byte("identity"),
		SRPUser: []byte("user"), TicketLifetimeHint: 1<<32 - 1, Ticket: []byte(strings.Repeat("ticket ", 30)), Compression: 1,
		Flags: 1, TicketAgeAdd: 1<<31 + 5, MaxEarlyData: 16384, ALPN: []byte("h2"), MaxFragmentLength: 4,
		TicketData: []byte{}, Group: 29, PeerPublicKey: leaf.RawSubjectPublicKeyInfo, Unknown: unknownField(21),
	}
	testsecrets.Record(s.MasterKey)
	return s
}

// unknownField encodes a field of a later release.
func unknownField(tag byte) []byte { return []byte{0xa0 + tag, 3, 0x02, 1, 7} }

// TestEveryField checks that each field comes back, alone and with all others.
func TestEveryField(t *testing.T) {
	all := reflect.ValueOf(full()).Elem()
	check := func(t *testing.T, s *Session) {
		t.Helper()
		der, err := s.Marshal()
		must(t, err)
		got, err := Parse(der)
		must(t, err)
		if !reflect.DeepEqual(got, s) {
			t.Error("the session changed")
		}
	}
	check(t, full())
	for i := range all.NumField() {
		s := &Session{Version: 0x0304, CipherSuite: 0x1301, ID: []byte{}, MasterKey: []byte{}, IDContext: []byte{}}
		if all.Type().Field(i).Name != "WithoutGroup" {
			reflect.ValueOf(s).Elem().Field(i).Set(all.Field(i))
		} else {
			s.WithoutGroup = true
		}
		t.Run(all.Type().Field(i).Name, func(t *testing.T) { check(t, s) })
	}
}

// TestReleases checks what Parse and ParseStrict say of files of other releases.
func TestReleases(t *testing.T) {
	old := &Session{Version: 0x0303, CipherSuite: 0xc02b, WithoutGroup: true}
	later := &Session{Version: 0x0303, CipherSuite: 0xc02b, Unknown: append(unknownField(22), unknownField(30)...)}
	for name, s := range map[string]*Session{"key-exchange group is missing": old, "tag 0xb6 is a field that": later} {
		der, err := s.Marshal()
		must(t, err)
		got, err := Parse(der)
		must(t, err)
		wantSame(t, got, der)
		if _, err := ParseStrict(der); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("ParseStrict: %v", err)
		}
	}
	if _, err := ParseStrict(unhex(t, observed)); err != nil {
		t.Error(err)
	}
}

// TestEveryPrefixAndByte damages an encoding everywhere. What still parses must encode to
// the same bytes.
func TestEveryPrefixAndByte(t *testing.T) {
	der, err := full().Marshal()
	must(t, err)
	for n := range der {
		if s, err := Parse(der[:n]); err == nil || s != nil {
			t.Errorf("the first %d of %d bytes parse", n, len(der))
		}
		for _, change := range []byte{0x01, 0x80, 0xff} {
			damaged := bytes.Clone(der)
			damaged[n] ^= change
			if s, err := Parse(damaged); err == nil {
				wantSame(t, s, damaged)
			} else if s != nil {
				t.Error("an error and a session")
			}
		}
	}
}

func TestMarshalRefuses(t *testing.T) {
	for name, change := range map[string]func(*Session){
		"session id has 33 bytes":         func(s *Session) { s.ID = make([]byte, 33) },
		"master key has 513 bytes":        func(s *Session) { s.MasterKey = make([]byte, 513) },
		"session id context has 33 bytes": func(s *Session) { s.IDContext = make([]byte, 33) },
		"protocol version":                func(s *Session) { s.Version = 0x0002 },
		"server name contains a NUL":      func(s *Session) { s.ServerName = []byte("a\x00b") },
		"peer certificate is not":         func(s *Session) { s.PeerCertificate = []byte("certificate") },
		"peer public key is not":          func(s *Session) { s.PeerPublicKey = []byte{} },
		"262":                             func(s *Session) { s.Ticket = make([]byte, MaxSize) },
		"tag 0xa3":                        func(s *Session) { s.Unknown = unknownField(3) },
		"Unknown has a field":             func(s *Session) { s.PeerPublicKey, s.Group, s.WithoutGroup, s.Unknown = nil, 0, true, unknownField(19) },
		"WithoutGroup":                    func(s *Session) { s.WithoutGroup = true },
	} {
		s := full()
		change(s)
		if der, err := s.Marshal(); err == nil || der != nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want an error about %q: %v", name, err)
		}
	}
	var none *Session
	if _, err := none.Marshal(); err == nil {
		t.Error("a nil session")
	}
}

// TestShowsNoSecret formats a session in every way.
func TestShowsNoSecret(t *testing.T) {
	s := full()
	var b strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&b, verb+verb, s, *s)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(h).Info("session", "s", s, "copy", *s, "list", []*Session{s}, "in", struct{ S Session }{*s})
	}
	for _, secret := range [][]byte{s.MasterKey, s.ID, s.Ticket} {
		for _, form := range []string{string(secret), hex.EncodeToString(secret[:8]), fmt.Sprint(secret[:8]), base64.StdEncoding.EncodeToString(secret)[:8]} {
			if strings.Contains(b.String(), form) {
				t.Error("a secret is shown")
			}
		}
	}
	if !strings.Contains(b.String(), "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256") {
		t.Error(b.String())
	}
}

func TestCertificate(t *testing.T) {
	s := full()
	cert, err := s.Certificate()
	must(t, err)
	if !bytes.Equal(cert.Raw, s.PeerCertificate) || cert.NotAfter.Before(time.Now()) || !s.ExtendedMasterSecret() {
		t.Error("another certificate")
	}
	if cert, err := new(Session).Certificate(); cert != nil || err != nil {
		t.Error(cert, err)
	}
}

func FuzzParseReencodes(f *testing.F) {
	der, err := full().Marshal()
	must(f, err)
	f.Add(der)
	f.Add(unhex(f, observed))
	f.Fuzz(func(t *testing.T, der []byte) {
		s, err := Parse(der)
		if err != nil {
			if s != nil || !errors.As(err, new(*SyntaxError)) {
				t.Fatal("a partial result, or an error of another type")
			}
			return
		}
		wantSame(t, s, der)
		if strict, err := ParseStrict(der); (err == nil) != (!s.WithoutGroup && s.Unknown == nil) || err == nil && !reflect.DeepEqual(strict, s) {
			t.Fatalf("ParseStrict: %v", err)
		}
		_, _ = s.Certificate()
	})
}

func FuzzParsePEM(f *testing.F) {
	one, err := full().MarshalPEM()
	must(f, err)
	f.Add(one)
	f.Add(append([]byte("text\n"), append(one, one...)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		sessions, err := ParsePEM(data)
		if (err == nil) == (len(sessions) == 0) {
			t.Fatal("neither sessions nor an error, or both")
		}
		for _, s := range sessions {
			again, err := s.MarshalPEM()
			must(t, err)
			block, _ := pem.Decode(again)
			wantSame(t, s, block.Bytes)
		}
	})
}
