package sslsession

import (
	"bytes"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// A SyntaxError says why an encoding cannot be read. It contains nothing of the
// session's values.
type SyntaxError struct {
	// Field is the field's name, or "" for the encoding as a whole.
	Field string
	// Offset is where the field begins, in bytes from the beginning of the DER.
	Offset int
	// Problem says what is wrong.
	Problem string
}

func (e *SyntaxError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("sslsession: at byte %d: the encoding %s", e.Offset, e.Problem)
	}
	return fmt.Sprintf("sslsession: at byte %d: %s %s", e.Offset, e.Field, e.Problem)
}

// Parse decodes one session in DER, like d2i_SSL_SESSION(3), but strictly; see the
// package documentation. Everything in der must belong to the session. The error is a
// [*SyntaxError]. The session does not alias der.
func Parse(der []byte) (*Session, error) { return parse(der, false) }

// ParseStrict is like Parse, but accepts only what OpenSSL 3.0 and later write: the
// key-exchange group must be there, and there must be no fields of unknown tags.
func ParseStrict(der []byte) (*Session, error) { return parse(der, true) }

func parse(der []byte, strict bool) (*Session, error) {
	if len(der) > MaxSize {
		return nil, &SyntaxError{Problem: fmt.Sprintf("has %d bytes; a session has at most %d", len(der), MaxSize)}
	}
	r := &reader{der: bytes.Clone(der), strict: strict}
	r.open()
	s := new(Session)
	s.fields(r)
	if r.err != nil {
		return nil, r.err
	}
	return s, nil
}

// A reader is the visitor that reads. After the first error it reads nothing.
type reader struct {
	der    []byte
	rest   cryptobyte.String // the unread end of der
	strict bool
	err    *SyntaxError
}

func (r *reader) offset() int { return len(r.der) - len(r.rest) }

func (r *reader) fail(offset int, field, format string, args ...any) {
	if r.err == nil {
		r.err = &SyntaxError{field, offset, fmt.Sprintf(format, args...)}
	}
}

// open enters the SEQUENCE, which must be all of the encoding.
func (r *reader) open() {
	all := cryptobyte.String(r.der)
	switch {
	case len(all) == 0:
		r.fail(0, "", "is empty")
	case all[0] != byte(asn1.SEQUENCE):
		r.fail(0, "", "begins with byte %#02x; a session is a DER SEQUENCE, which begins with 0x30", all[0])
	case !all.ReadASN1(&r.rest, asn1.SEQUENCE):
		r.fail(0, "", "is truncated after %d bytes, or its length is not DER", len(r.der))
	case !all.Empty():
		r.fail(len(r.der)-len(all), "", "has %d bytes after the session", len(all))
	}
}

// element reads one element of the given tag. It returns false if the next element has
// another tag, or after an error.
func (r *reader) element(tag asn1.Tag, field string) (content cryptobyte.String, ok bool) {
	if r.err != nil || !r.rest.PeekASN1Tag(tag) {
		return nil, false
	}
	at := r.offset()
	if !r.rest.ReadASN1(&content, tag) {
		r.fail(at, field, "is truncated, or its length is not DER")
		return nil, false
	}
	return content, true
}

// required is like element, for a field that is always there.
func (r *reader) required(tag asn1.Tag, field string) (content cryptobyte.String, ok bool) {
	content, ok = r.element(tag, field)
	switch {
	case ok:
	case len(r.rest) == 0:
		r.fail(r.offset(), field, "is missing: the encoding ends")
	default:
		r.fail(r.offset(), field, "is missing: tag %#02x comes in its place", r.rest[0])
	}
	return content, ok
}

// inner reads an element that must be all of content, the content of a field.
func (r *reader) inner(at int, content cryptobyte.String, tag asn1.Tag, field string) (in cryptobyte.String, ok bool) {
	if r.err == nil && (!content.ReadASN1(&in, tag) || !content.Empty()) {
		r.fail(at, field, "does not hold exactly one element of tag %#02x in DER", uint8(tag))
	}
	return in, r.err == nil
}

// integer reads the content of a field, which must be an INTEGER.
func (r *reader) integer(at int, content cryptobyte.String, field string, fits func(int64) bool) (n int64) {
	if r.err == nil && (!content.ReadASN1Integer(&n) || !content.Empty() || !fits(n)) {
		r.fail(at, field, "is not an INTEGER in DER that OpenSSL writes there")
		return 0
	}
	return n
}

// whole reads the next element, an INTEGER that is always there.
func (r *reader) whole(field string, fits func(int64) bool) int64 {
	at, before := r.offset(), r.rest
	if _, ok := r.required(asn1.INTEGER, field); !ok {
		return 0
	}
	return r.integer(at, before[:len(before)-len(r.rest)], field, fits)
}

func (r *reader) structure() {
	r.whole("structure version", func(n int64) bool { return n == structureVersion })
}

func (r *reader) version(v *uint16) {
	*v = uint16(r.whole("protocol version", knownVersion))
}

func (r *reader) suite(v *uint16) {
	at := r.offset()
	content, ok := r.required(asn1.OCTET_STRING, "cipher")
	if ok && (!content.ReadUint16(v) || !content.Empty()) {
		r.fail(at, "cipher", "does not have 2 bytes")
	}
}

func (r *reader) octets(field string, b *[]byte, most int) {
	at := r.offset()
	if content, ok := r.required(asn1.OCTET_STRING, field); ok {
		r.bounded(at, field, content, b, most)
	}
}

func (r *reader) bounded(at int, field string, content cryptobyte.String, b *[]byte, most int) {
	if len(content) > most {
		r.fail(at, field, "has %d bytes; OpenSSL reads at most %d", len(content), most)
		return
	}
	*b = slices.Clip(content)
}

func (r *reader) context(b *[]byte) {
	const field = "session id context"
	at := r.offset()
	content, _ := r.required(explicit(4), field)
	if in, ok := r.inner(at, content, asn1.OCTET_STRING, field); ok {
		r.bounded(at, field, in, b, maxID)
	}
}

func (r *reader) number(tag uint8, field string, _ int64, fits func(int64) bool) int64 {
	at := r.offset()
	content, ok := r.element(explicit(tag), field)
	if !ok {
		return 0
	}
	return r.integer(at, content, field, func(n int64) bool { return n != 0 && fits(n) })
}

func (r *reader) optional(tag uint8, field string, b *[]byte, c content) {
	at := r.offset()
	in, ok := r.element(explicit(tag), field)
	if ok && c != certificate {
		in, ok = r.inner(at, in, asn1.OCTET_STRING, field)
	}
	if !ok {
		return
	}
	if problem := c.problem(in); problem != "" {
		r.fail(at, field, "%s", problem)
		return
	}
	*b = slices.Clip(in)
}

func (r *reader) compression(method *uint8) {
	const field = "compression method"
	var b []byte
	at := r.offset()
	r.optional(11, field, &b, octets)
	switch {
	case b == nil:
	case len(b) != 1 || b[0] == 0:
		r.fail(at, field, "is not one byte other than 0")
	default:
		*method = b[0]
	}
}

func (r *reader) group(n *uint32, without *bool) {
	const field = "key-exchange group"
	at := r.offset()
	content, ok := r.element(explicit(19), field)
	switch {
	case ok:
		*n = uint32(r.integer(at, content, field, func(n int64) bool { return int64(uint32(n)) == n }))
	case r.strict:
		r.fail(at, field, "is missing, as in files of OpenSSL 1.1.1 and earlier")
	default:
		*without = true
	}
}

// unknown reads everything that is left.
func (r *reader) unknown(b *[]byte) {
	all := r.rest
	for tag := uint8(firstUnknown); r.err == nil && len(r.rest) > 0; tag++ {
		at, next := r.offset(), r.rest[0]
		switch field := fmt.Sprintf("tag %#02x", next); {
		case next < byte(explicit(tag)) || next > byte(explicit(lastUnknown)):
			r.fail(at, field, "is not a field of a session, or is out of order")
		case r.strict:
			r.fail(at, field, "is a field that this package does not know")
		default:
			tag = next &^ byte(explicit(0))
			r.element(explicit(tag), field)
		}
	}
	if r.err == nil && len(all) > 0 {
		*b = slices.Clip(all)
	}
}
