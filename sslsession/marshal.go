package sslsession

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

const (
	structureVersion          = 1
	firstUnknown, lastUnknown = 21, 30 // higher tags take two bytes
)

// Marshal encodes the session in DER, byte for byte as i2d_SSL_SESSION(3) does. The bytes
// are a live key. If [Parse] would reject the session or read another, Marshal returns an
// error.
func (s *Session) Marshal() ([]byte, error) {
	if s == nil {
		return nil, errors.New("sslsession: encode: the session is nil")
	}
	if s.WithoutGroup && s.Group != 0 {
		return nil, errors.New("sslsession: encode: WithoutGroup is set, and Group is not 0")
	}
	var b cryptobyte.Builder
	c := *s // a visitor takes pointers
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { c.fields(&writer{b}) })
	der, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("sslsession: encode: %w", err)
	}
	read, err := Parse(der)
	if err != nil {
		return nil, fmt.Errorf("sslsession: encode: %w", err)
	}
	if !bytes.Equal(read.Unknown, s.Unknown) {
		return nil, errors.New("sslsession: encode: Unknown has a field that is not of a later release")
	}
	return der, nil
}

// A writer is the visitor that writes. It does not modify the session.
type writer struct{ *cryptobyte.Builder }

func (w *writer) explicit(tag uint8, content func(*cryptobyte.Builder)) {
	w.AddASN1(explicit(tag), content)
}

func (w *writer) structure() { w.AddASN1Int64(structureVersion) }

func (w *writer) version(v *uint16) { w.AddASN1Int64(int64(*v)) }

func (w *writer) suite(v *uint16) {
	w.AddASN1(asn1.OCTET_STRING, func(b *cryptobyte.Builder) { b.AddUint16(*v) })
}

func (w *writer) octets(_ string, b *[]byte, _ int) { w.AddASN1OctetString(*b) }

func (w *writer) context(b *[]byte) {
	w.explicit(4, func(in *cryptobyte.Builder) { in.AddASN1OctetString(*b) })
}

func (w *writer) number(tag uint8, _ string, n int64, _ func(int64) bool) int64 {
	if n != 0 {
		w.explicit(tag, func(b *cryptobyte.Builder) { b.AddASN1Int64(n) })
	}
	return n
}

func (w *writer) optional(tag uint8, _ string, b *[]byte, c content) {
	if *b == nil {
		return
	}
	w.explicit(tag, func(in *cryptobyte.Builder) {
		if c == certificate {
			in.AddBytes(*b)
		} else {
			in.AddASN1OctetString(*b)
		}
	})
}

func (w *writer) compression(method *uint8) {
	if *method != 0 {
		w.explicit(11, func(b *cryptobyte.Builder) { b.AddASN1OctetString([]byte{*method}) })
	}
}

func (w *writer) group(n *uint32, without *bool) {
	if !*without {
		w.explicit(19, func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(*n)) })
	}
}

func (w *writer) unknown(b *[]byte) { w.AddBytes(*b) }
