package inspect

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/halfshake/halfshake/internal/sessionrecord"
)

// TestDamage reads files with one fault each, in every format, and checks that the error
// names the offset and the field.
func TestDamage(t *testing.T) {
	e := examples(t)
	record, der, text := e[0].data, e[1].data, e[2].data
	state, err := sessionrecord.Parse(record)
	must(t, err)
	peer := bytes.Index(der, authority.Cert.Raw)
	for name, test := range map[string]struct {
		data []byte
		says string
	}{
		"empty":              {nil, "at byte 0: the file is empty"},
		"text":               {[]byte("no session\n"), "at byte 0: the format is unknown: the file begins with 0x6e"},
		"zeros":              {make([]byte, 1000), "at byte 0: the format is unknown: the file begins with 0x00"},
		"16 MB":              {append([]byte{0x30, 0x84, 0x01, 0, 0, 0}, make([]byte, 1<<24)...), "at byte 0: the encoding has 16777222 bytes; a session has at most 262144"},
		"a record of 16 MB":  {append(bytes.Clone(record), make([]byte, 1<<24)...), "at byte 0: the record has "},
		"several records":    {slices.Concat(record, record), "at byte "},
		"several in DER":     {slices.Concat(der, der), "the encoding has"},
		"cut after 1 byte":   {der[:1], "at byte 0: the encoding is truncated"},
		"cut in the middle":  {der[:len(der)/2], "at byte 0: the encoding is truncated"},
		"a byte at the end":  {append(bytes.Clone(der), 0), "the encoding has 1 bytes after the session"},
		"an indefinite form": {append([]byte{0x30, 0x80}, der[4:]...), "at byte 0: the encoding is truncated after "},
		"another structure":  {with(der, 4+2, 2), "at byte 4: structure version is not an INTEGER in DER that OpenSSL writes there"},
		"another protocol":   {with(der, 7+2, 7), "at byte 7: protocol version is not"},
		"a short cipher":     {with(der, 11, 0x02), "at byte 11: cipher is missing: tag 0x02 comes in its place"},
		"no certificate":     {with(der, peer, 0x31), "peer certificate is not a Certificate in DER"},
		"a NUL in the name":  {with(der, bytes.Index(der, []byte("a.example"))+1, 0), "server name contains a NUL"},

		"a record cut in its format":  {record[:3], "at byte 0: format is truncated: it has 4 bytes, and 3 are left"},
		"a record cut in its id":      {record[:20], "at byte 5: session id is truncated: it has 32 bytes, and 15 are left"},
		"a record cut in its state":   {record[:state.Offset+9], "state of crypto/tls is truncated: "},
		"a record cut in its end":     {record[:len(record)-1], "checksum is truncated: it has 4 bytes, and 3 are left"},
		"a record of format 1":        {with(record, 3, 1), "at byte 0: format is not 2, the only one that this release reads"},
		"an id of 33 bytes":           {with(record, 4, 33), "at byte 4: session id has 33 bytes; it has 1 to 32"},
		"a flipped bit":               {with(record, 40, record[40]^1), "checksum does not match: a byte before it was changed"},
		"a record goes on":            {append(bytes.Clone(record), 'x'), "the record goes on for 1 bytes after the session"},
		"a record that never expires": {sum(withLong(record, 65, math.MaxInt64)), "at byte 65: expiry is out of range"},
		"a record of another release": {sum(with(record, state.Offset+2, 9)), "state of crypto/tls is damaged, or of a release of Go"},
		"a record of two versions":    {sum(with(record, 54, 3)), "state of crypto/tls is damaged, or of a release of Go"},

		"two labels":        {slices.Concat(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Cert.Raw})), `PEM block 3, at byte `},
		"labels mixed up":   {bytes.Replace(text, []byte("-----END SSL SESSION"), []byte("-----END TLS SESSION"), 1), "PEM block 1, at byte 13: another block begins within it"},
		"a key":             {[]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), `PEM block 1, at byte 0: its label is not "SSL SESSION PARAMETERS"`},
		"a PEM cut off":     {text[:len(text)-20], "PEM block 2, at byte "},
		"not base64":        {bytes.Replace(text, []byte("PARAMETERS-----\nM"), []byte("PARAMETERS-----\n*"), 1), "PEM block 1, at byte 13: it is not base64"},
		"headers":           {bytes.Replace(text, []byte("PARAMETERS-----\n"), []byte("PARAMETERS-----\nProc-Type: 4,ENCRYPTED\n\n"), 1), "decrypt it first"},
		"DER in PEM cut":    {pem.EncodeToMemory(&pem.Block{Type: "SSL SESSION PARAMETERS", Bytes: der[:30]}), "PEM block 1, at byte 0: in its DER, at byte 0: the encoding is truncated"},
		"a PEM of nothing":  {pem.EncodeToMemory(&pem.Block{Type: "SSL SESSION PARAMETERS"}), "PEM block 1, at byte 0: in its DER, at byte 0: the encoding is empty"},
		"GnuTLS's":          {gnuTLS(t), "at byte 0: the format is unknown: the file begins with 0xfa"},
		"BoringSSL's":       {boringSSL(t, false), "at byte 142: max fragment length is not an INTEGER in DER that OpenSSL writes there"},
		"BoringSSL's, peer": {boringSSL(t, true), "at byte 142: flags is not an INTEGER in DER that OpenSSL writes there"},
		"crypto/tls's":      {state.Bytes, "at byte 0: the format is unknown: the file begins with 0x03"},
	} {
		sessions, err := Read(test.data)
		if err == nil || sessions != nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "at byte ") {
			t.Errorf("%s: %d sessions, %v; want %q", name, len(sessions), err, test.says)
		}
		for _, secret := range slices.Concat(e[0].secrets, e[1].secrets) {
			if err != nil && shows(err.Error(), secret) {
				t.Errorf("%s: the error shows a secret", name)
			}
		}
	}
}

// TestEveryCut cuts each format at every byte.
func TestEveryCut(t *testing.T) {
	for _, e := range examples(t) {
		for i := range e.data {
			if i == bytes.LastIndex(e.data, []byte("-----BEGIN")) { // the first of two sessions is whole
				break
			}
			if sessions, err := Read(e.data[:i]); err == nil && e.name != "pem" {
				t.Errorf("%s: the first %d of %d bytes are %d sessions", e.name, i, len(e.data), len(sessions))
			}
		}
	}
}

// TestPEMNextToControlCharacters reads a PEM block after the output of a program that
// colours it, and one that begins like DER.
func TestPEMNextToControlCharacters(t *testing.T) {
	text := examples(t)[2].data
	for _, before := range []string{"\x1b[1mCONNECTED\x1b[m\n", "0 s:CN = a.example\n"} {
		if got := read(t, append([]byte(before), text...)); len(got) != 2 {
			t.Errorf("%q: %d sessions", before, len(got))
		}
	}
	ssl := full()
	ssl.TicketData = []byte("\n-----BEGIN SSL SESSION PARAMETERS-----\n")
	der, err := ssl.Marshal()
	must(t, err)
	if got := read(t, der); got[0].format != DER {
		t.Errorf("DER with PEM within is %s", got[0].format)
	}
}

func with(data []byte, at int, b byte) []byte {
	data = bytes.Clone(data)
	data[at] = b
	return data
}

func withLong(data []byte, at int, n uint64) []byte {
	data = bytes.Clone(data)
	binary.BigEndian.PutUint64(data[at:], n)
	return data
}

// sum gives a record the checksum of its content.
func sum(record []byte) []byte {
	record = record[:len(record)-4]
	return binary.BigEndian.AppendUint32(record, crc32.Checksum(record, crc32.MakeTable(crc32.Castagnoli)))
}

// gnuTLS returns how the result of gnutls_session_get_data2 began in GnuTLS 3.7.9, and
// zeros.
func gnuTLS(t *testing.T) []byte {
	begin, err := hex.DecodeString("fae1c1e66b07405c00005460010000019e")
	must(t, err)
	return append(begin, make([]byte, 800)...)
}

// boringSSL encodes a session as BoringSSL does (ssl/ssl_asn1.cc), which has the same
// fields as OpenSSL up to 12 and others from 13 on.
func boringSSL(t *testing.T, peer bool) []byte {
	var b cryptobyte.Builder
	field := func(b *cryptobyte.Builder, tag uint8, f cryptobyte.BuilderContinuation) {
		b.AddASN1(asn1.Tag(tag).ContextSpecific().Constructed(), f)
	}
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1Int64(tls.VersionTLS12)
		b.AddASN1OctetString([]byte{0xc0, 0x2f})
		b.AddASN1OctetString(make([]byte, 32))
		b.AddASN1OctetString(make([]byte, 48))
		field(b, 1, func(b *cryptobyte.Builder) { b.AddASN1Int64(1440000000) })
		field(b, 2, func(b *cryptobyte.Builder) { b.AddASN1Int64(7200) })
		field(b, 4, func(b *cryptobyte.Builder) { b.AddASN1OctetString(nil) })
		field(b, 5, func(b *cryptobyte.Builder) { b.AddASN1Int64(20) })
		field(b, 9, func(b *cryptobyte.Builder) { b.AddASN1Int64(100800) })
		field(b, 10, func(b *cryptobyte.Builder) { b.AddASN1OctetString(make([]byte, 10)) })
		if peer {
			field(b, 13, func(b *cryptobyte.Builder) { b.AddASN1OctetString(make([]byte, 32)) })
		}
		field(b, 17, func(b *cryptobyte.Builder) { b.AddASN1Boolean(true) })
		field(b, 18, func(b *cryptobyte.Builder) { b.AddASN1Int64(29) })
	})
	der, err := b.Bytes()
	must(t, err)
	return der
}
