package sslsession

import (
	"bytes"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// elements is a session of which each test replaces a part: the elements of its SEQUENCE.
var elements = [...]string{
	"020101",   // structure version
	"02020303", // protocol version
	"0402c02b", // cipher
	"040101",   // session id
	"0403010203",
	"a103020105",   // time
	"a203020106",   // timeout
	"a403040102",   // session id context
	"a603040161",   // server name
	"b303020100",   // group
	"", "", "", "", // room for more
}

// with encodes elements with some replaced: pairs of an index and hexadecimal digits.
func with(t testing.TB, changes ...any) []byte {
	t.Helper()
	parts := elements
	for i := 0; i < len(changes); i += 2 {
		parts[changes[i].(int)] = changes[i+1].(string)
	}
	return sequence(unhex(t, strings.Join(parts[:], "")))
}

func sequence(content []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(content) })
	return b.BytesOrPanic()
}

// TestDamagedFiles has kinds of damage that users meet, and some that only an attacker
// makes, each with the field and the offset that the error must name.
func TestDamagedFiles(t *testing.T) {
	whole := with(t)
	if _, err := Parse(whole); err != nil {
		t.Fatal(err)
	}
	const header = 2 // of the SEQUENCE
	for _, test := range []struct {
		name   string
		der    []byte
		field  string
		offset int
		says   string
	}{
		{"empty file", nil, "", 0, "is empty"},
		{"PEM instead of DER", []byte("-----BEGIN SSL SESSION PARAMETERS-----\n"), "", 0, "begins with byte 0x2d"},
		{"cut", whole[:len(whole)-1], "", 0, "is truncated"},
		{"bytes after the session", append(bytes.Clone(whole), 0), "", len(whole), "has 1 bytes after"},
		{"16 MiB", make([]byte, 16<<20), "", 0, "has 16777216 bytes"},
		{"indefinite length", append([]byte{0x30, 0x80}, append(bytes.Clone(whole[2:]), 0, 0)...), "", 0, "not DER"},
		{"length not minimal", append([]byte{0x30, 0x81, byte(len(whole) - 2)}, whole[2:]...), "", 0, "not DER"},
		{"empty session", sequence(nil), "structure version", 2, "is missing: the encoding ends"},
		{"structure version 2", with(t, 0, "020102"), "structure version", header, "INTEGER"},
		{"SSL 2.0", with(t, 1, "020102"), "protocol version", header + 3, "INTEGER"},
		{"version not minimal", with(t, 1, "0203000303"), "protocol version", header + 3, "INTEGER"},
		{"cipher of three bytes", with(t, 2, "040300c02b"), "cipher", header + 7, "2 bytes"},
		{"id of 33 bytes", with(t, 3, "0421"+strings.Repeat("00", 33)), "session id", header + 11, "33 bytes"},
		{"key of 513 bytes", with(t, 4, "04820201"+strings.Repeat("00", 513)), "master key", 4 + 14, "513 bytes"},
		{"no key", with(t, 4, ""), "master key", header + 14, "tag 0xa1 comes in its place"},
		{"time of 0", with(t, 5, "a103020100"), "time", header + 19, "INTEGER"},
		{"time of nine bytes", with(t, 5, "a10b0209010000000000000000"), "time", header + 19, "INTEGER"},
		{"two times", with(t, 5, "a103020105a103020105"), "session id context", header + 24, "tag 0xa1"},
		{"timeout before time", with(t, 5, "a203020106", 6, "a103020105"), "session id context", header + 24, "tag 0xa1"},
		{"bytes within a field", with(t, 6, "a2050201060500"), "timeout", header + 24, "INTEGER"},
		{"no context", with(t, 7, ""), "session id context", header + 29, "tag 0xa6"},
		{"a string where octets belong", with(t, 8, "a6030c0161"), "server name", header + 34, "tag 0x04"},
		{"a name with a NUL", with(t, 8, "a603040100"), "server name", header + 34, "NUL"},
		{"a certificate of another kind", with(t, 6, "", 5, "", 7, "a3023000a403040102"), "peer certificate", header + 19, "Certificate"},
		{"compression of two bytes", with(t, 9, "ab0404020101b303020100"), "compression method", header + 39, "one byte"},
		{"fragment mode 256", with(t, 9, "b10402020100b303020100"), "max fragment length", header + 39, "INTEGER"},
		{"negative early data", with(t, 9, "af030201ffb303020100"), "max early data", header + 39, "INTEGER"},
		{"key_arg of SSL 2.0", with(t, 5, "8000a103020105"), "session id context", header + 19, "tag 0x80"},
		{"unknown fields out of order", with(t, 10, "b603020101b503020101"), "tag 0xb5", header + 49, "out of order"},
		{"a universal tag at the end", with(t, 10, "0500"), "tag 0x05", header + 44, "not a field"},
	} {
		s, err := Parse(test.der)
		e, ok := errors.AsType[*SyntaxError](err)
		if s != nil || !ok || e.Field != test.field || e.Offset != test.offset || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestDamagedPEM does the same for PEM.
func TestDamagedPEM(t *testing.T) {
	text := string(pem.EncodeToMemory(&pem.Block{Type: Label, Bytes: with(t)}))
	other := strings.ReplaceAll(text, Label, "CERTIFICATE")
	encrypted := strings.Replace(text, "-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n", 1)
	for _, test := range []struct{ name, data, says string }{
		{"empty", "", "no PEM block"},
		{"no block", "Session-ID: 00\n", "no PEM block"},
		{"another label", other, "PEM block 1, at byte 0: sslsession: its label is not"},
		{"two labels", strings.Replace(text, "END "+Label, "END CERTIFICATE", 1), "is missing"},
		{"two labels, two blocks", text + other, "PEM block 2, at byte " /* not returned in part */},
		{"cut", text[:len(text)/2], "is missing"},
		{"cut before another", text[:len(text)/2] + "\n" + text, "another block begins within it"},
		{"not base64", strings.Replace(text, "-----\n", "-----\n!", 1), "not base64"},
		{"encrypted", encrypted, "decrypt it first"},
		{"bytes after the session", string(pem.EncodeToMemory(&pem.Block{Type: Label, Bytes: append(with(t), 1)})), "has 1 bytes after"},
	} {
		if sessions, err := ParsePEM([]byte(test.data)); sessions != nil || err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestSeveralSessions reads a file with text around its blocks, and with CRLF.
func TestSeveralSessions(t *testing.T) {
	text := string(pem.EncodeToMemory(&pem.Block{Type: Label, Bytes: with(t)}))
	for _, data := range []string{text + text, "SSL-Session:\n    Protocol  : TLSv1.3\n" + text + "\n---\n" + text, strings.ReplaceAll(text+text, "\n", "\r\n")} {
		sessions, err := ParsePEM([]byte(data))
		must(t, err)
		if len(sessions) != 2 {
			t.Fatalf("%d sessions", len(sessions))
		}
		for _, s := range sessions {
			again, err := s.MarshalPEM()
			must(t, err)
			if string(again) != text {
				t.Error("another text")
			}
		}
	}
}
