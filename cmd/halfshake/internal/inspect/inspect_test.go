package inspect

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake/sslsession"
)

// TestJSON checks every field of a session in DER, in PEM and in a record.
func TestJSON(t *testing.T) {
	digest := sha256.Sum256(authority.Cert.Raw)
	rest := fmt.Sprintf(`"protocol":"TLS 1.2","cipher_suite":"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",`+
		`"server_name":"a.example","alpn":"h2","created_at":"2026-09-21T14:13:20Z","timeout_seconds":7200,"verify_result":20,`+
		`"extended_master_secret":true,"ticket_lifetime_hint_seconds":3600,"max_early_data":16384,`+
		`"peer_certificate_sha256":"%x","ref":"f5f0d8b6850a50ec"`, digest)
	for _, e := range examples(t)[1:] {
		one := `{"format":"` + e.name + `",` + rest + "}\n"
		if e.name == "pem" {
			one += one
		}
		if got := jsonOf(t, read(t, e.data), false); got != one {
			t.Errorf("%s:\n%swant\n%s", e.name, got, one)
		}
	}
}

func jsonOf(t *testing.T, sessions []*Session, secrets bool) string {
	t.Helper()
	var b bytes.Buffer
	must(t, JSON(&b, sessions, secrets))
	return b.String()
}

// TestRecord compares what is shown of a session of Halfshake's with the session.
func TestRecord(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for auth, result := range map[tls.ClientAuthType]int32{tls.NoClientCert: 0, tls.RequireAnyClientCert: 1, tls.RequireAndVerifyClientCert: 0} {
			own := made(t, version, auth)
			record, err := own.MarshalBinary()
			must(t, err)
			sessions := read(t, record)
			secrets := secretsOf(t, own)
			want := jsonSession{
				Format: "halfshake", Protocol: tls.VersionName(version), CipherSuite: tls.CipherSuiteName(own.CipherSuite()),
				ServerName: "a.example", ALPN: "h2", CreatedAt: own.Created().UTC().Format(time.RFC3339), TimeoutSeconds: 300,
				VerifyResult: result, ExtendedMasterSecret: version == tls.VersionTLS12, Ref: own.Ref(),
				jsonSecrets: &jsonSecrets{hex.EncodeToString(own.ID()), hex.EncodeToString(secrets[1]), ""},
			}
			if certs := own.PeerCertificates(); len(certs) > 0 {
				want.PeerCertificateSHA256 = fmt.Sprintf("%x", sha256.Sum256(certs[0].Raw))
			}
			var got jsonSession
			got.jsonSecrets = &jsonSecrets{}
			must(t, json.Unmarshal([]byte(jsonOf(t, sessions, true)), &got))
			same := *got.jsonSecrets == *want.jsonSecrets
			got.jsonSecrets, want.jsonSecrets = nil, nil
			got.ExtendedMasterSecret = got.ExtendedMasterSecret && version == tls.VersionTLS12 // crypto/tls sets it in TLS 1.3 too
			if got != want || !same {
				t.Errorf("%v, %v: %+v\nwant %+v; the secrets are the same: %v", version, auth, got, want, same)
			}
			scope := own.Scope()
			text := textOf(t, sessions, own.Created().Add(100*time.Second))
			for _, line := range []string{
				"file: session 1 of 1, Halfshake's record", "ref " + own.Ref(), "lineage " + own.Lineage().String() + ", since 2",
				"scope " + hex.EncodeToString(scope[:]), "application data 4 bytes", "in 3m20s", "server name a.example", "ALPN h2",
			} {
				wantLine(t, text, line)
			}
			if version == tls.VersionTLS12 {
				wantLine(t, text, "group x25519")
			}
			if result == 1 {
				wantLine(t, text, "verify result 1 (the server does not verify client certificates)")
			}
			if auth != tls.NoClientCert {
				wantLine(t, text, "peer certificate CN=alice")
				wantLine(t, text, "issuer CN=authority")
			}
		}
	}
}

// wantLine checks that text has a part that differs from line only in its spaces.
func wantLine(t *testing.T, text, line string) {
	t.Helper()
	if !strings.Contains(strings.Join(strings.Fields(text), " "), line) {
		t.Errorf("%q is missing in\n%s", line, text)
	}
}

// TestSecretsOnRequest prints sessions of every format, and searches for their secrets.
func TestSecretsOnRequest(t *testing.T) {
	for _, e := range examples(t) {
		sessions := read(t, e.data)
		for _, secrets := range []bool{false, true} {
			var text bytes.Buffer
			must(t, Text(&text, e.name, sessions, secrets, time.Now()))
			for _, out := range []string{text.String(), jsonOf(t, sessions, secrets)} {
				for i, secret := range e.secrets {
					if secrets && !strings.Contains(out, hex.EncodeToString(secret)) {
						t.Errorf("%s: secret %d is missing", e.name, i)
					}
					if !secrets && shows(out, secret) {
						t.Errorf("%s: secret %d is shown", e.name, i)
					}
				}
			}
		}
		if out := fmt.Sprintf("%v %+v %#v", sessions[0].ssl, sessions[0].ssl, sessions[0].own); slices.ContainsFunc(e.secrets, func(s []byte) bool { return shows(out, s) }) {
			t.Errorf("%s: formatting shows a secret", e.name)
		}
	}
}

// shows reports whether out has eight bytes of a secret in one of its usual forms.
func shows(out string, secret []byte) bool {
	part := secret[:8]
	return strings.Contains(out, string(part)) || strings.Contains(strings.ToLower(out), hex.EncodeToString(part)) ||
		strings.Contains(out, base64.RawStdEncoding.EncodeToString(part)[:8])
}

// TestKeys holds the names and the order of the fields, which other programs rely on.
func TestKeys(t *testing.T) {
	want := "format protocol cipher_suite server_name alpn created_at timeout_seconds verify_result extended_master_secret " +
		"ticket_lifetime_hint_seconds max_early_data peer_certificate_sha256 ref"
	sessions := []*Session{{DER, &sslsession.Session{}, nil}}
	if got := keysOf(t, jsonOf(t, sessions, false)); got != want {
		t.Errorf("keys: %s", got)
	}
	if got := keysOf(t, jsonOf(t, sessions, true)); got != want+" session_id master_key ticket" {
		t.Errorf("keys with secrets: %s", got)
	}
}

func keysOf(t *testing.T, object string) string {
	t.Helper()
	var keys []string
	decoder := json.NewDecoder(strings.NewReader(object))
	for i := 0; ; i++ {
		token, err := decoder.Token()
		if err != nil {
			return strings.Join(keys, " ")
		}
		if key, ok := token.(string); ok && i%2 == 1 { // after the brace, a key and a value in turn
			keys = append(keys, key)
		}
	}
}

// TestTimes checks what is said about a session's end.
func TestTimes(t *testing.T) {
	const made, day = 1790000000, 24 * 60 * 60
	for _, test := range []struct {
		time, timeout, now int64
		want               string
	}{
		{made, 7200, made + 1, "made 2026-09-21T14:13:20Z timeout 7200 s expires 2026-09-21T16:13:20Z, in 1h59m59s"},
		{made, 7200, made + 7200, "expires 2026-09-21T16:13:20Z, in 0s"},
		{made, 7200, made + 7201, "expired 2026-09-21T16:13:20Z, 1s ago"},
		{made, 7 * day, made, "in 7d0s"},
		{made, 1, made + 1 + 3*day + 61, "3d1m1s ago"},
		{made, 0, made + 1, "timeout 3 s, which OpenSSL assumes because the session names none expires 2026-09-21T14:13:23Z, in 2s"},
		{0, 300, made, "made not recorded; OpenSSL assumes the time of reading timeout 300 s server name"},
		{made, math.MaxInt64, made, "expires never"},
		{math.MaxInt64, math.MaxInt64, made, "made 9223372036854775807 s after 1970 timeout 9223372036854775807 s expires never"},
		{math.MinInt64, math.MinInt64, made, "expired -2199023255552 s after 1970"},
		{made, -5, made, "expired 2026-09-21T14:13:15Z, 5s ago"},
	} {
		s := &Session{DER, &sslsession.Session{Time: test.time, Timeout: test.timeout}, nil}
		wantLine(t, textOf(t, []*Session{s}, time.Unix(test.now, 0)), test.want)
	}
	s := &Session{DER, &sslsession.Session{Time: math.MaxInt64}, nil}
	if got := s.json(false).CreatedAt; got != "" {
		t.Errorf("a time that RFC 3339 cannot express: %q", got)
	}
}

// TestNothingControlsTheTerminal prints a session whose texts are not for a terminal.
func TestNothingControlsTheTerminal(t *testing.T) {
	evil := []byte("\x1b[2J\x07\r\n\u202eab\xff")
	s := &Session{DER, &sslsession.Session{ServerName: evil, ALPN: evil, PSKIdentity: evil, PSKIdentityHint: evil, SRPUser: evil, IDContext: evil}, nil}
	var b bytes.Buffer
	must(t, Text(&b, "file\x1b[2J", []*Session{s}, true, time.Now()))
	for _, r := range b.String() {
		if r != '\n' && (r < ' ' || r > '~') {
			t.Fatalf("%q is in %q", r, b.String())
		}
	}
}

// TestEarlyData shows a session of QUIC's.
func TestEarlyData(t *testing.T) {
	s := &Session{Halfshake, &sslsession.Session{Version: tls.VersionTLS13, MaxEarlyData: math.MaxUint32}, nil}
	wantLine(t, textOf(t, []*Session{s}, time.Now()), "max early data 4294967295 bytes")
}

// FuzzRead checks that no input makes the program panic, that an error has no session
// beside it, and that what is read can be printed.
func FuzzRead(f *testing.F) {
	for _, e := range examples(f) {
		f.Add(e.data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		sessions, err := Read(data)
		if (err == nil) != (len(sessions) > 0) {
			t.Fatalf("%d sessions, %v", len(sessions), err)
		}
		if err != nil {
			if !strings.Contains(err.Error(), "at byte ") || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Fatalf("the error names no offset, or has a line break: %q", err)
			}
			return
		}
		textOf(t, sessions, time.Now())
		jsonOf(t, sessions, true)
	})
}
