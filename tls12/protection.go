package tls12

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"math"
)

const (
	explicitNonceLen = 8
	sequenceLen      = 8
	nonceLen         = 12
	aadLen           = sequenceLen + recordHeaderLen
)

// A protection seals or opens the records of one direction under one key (RFC 5246,
// section 6.2.3.3). Whoever holds that direction's lock owns it.
type protection struct {
	aead cipher.AEAD

	// explicit reports whether each record carries the second part of the nonce, as
	// with AES-GCM (RFC 5288, section 3); it is the sequence number.
	// ChaCha20-Poly1305 sends none (RFC 7905, section 2).
	explicit bool
	iv       [nonceLen]byte
	seq      uint64

	// Scratch space, kept here so that it does not escape at each call.
	nonce [nonceLen]byte
	aad   [aadLen]byte
}

var (
	errShortRecord = errors.New("tls12: the record is shorter than its nonce and tag")
	errSequenceEnd = errors.New("tls12: the record sequence numbers are exhausted")
)

// overhead returns how much longer a sealed record is than its content.
func (p *protection) overhead() int { return p.nonceOnWire() + p.aead.Overhead() }

func (p *protection) nonceOnWire() int {
	if p.explicit {
		return explicitNonceLen
	}
	return 0
}

// seal appends the protected content of one record to dst.
func (p *protection) seal(dst []byte, typ recordType, content []byte) ([]byte, error) {
	if p.seq == math.MaxUint64 {
		return nil, errSequenceEnd
	}
	if p.explicit {
		start := len(dst)
		dst = binary.BigEndian.AppendUint64(dst, p.seq)
		p.setNonce(dst[start:])
	} else {
		p.setNonce(nil)
	}
	p.setAdditionalData(typ, len(content))
	p.seq++
	return p.aead.Seal(dst, p.nonce[:], content, p.aad[:]), nil
}

// open returns the content of one record, decrypted in place.
func (p *protection) open(typ recordType, sealed []byte) ([]byte, error) {
	n := p.nonceOnWire()
	if len(sealed) < p.overhead() {
		return nil, errShortRecord
	}
	if p.seq == math.MaxUint64 {
		return nil, errSequenceEnd
	}
	p.setNonce(sealed[:n])
	p.setAdditionalData(typ, len(sealed)-p.overhead())
	p.seq++
	return p.aead.Open(sealed[n:n], p.nonce[:], sealed[n:], p.aad[:])
}

// setNonce makes the nonce from its part on the wire or, if there is none, from the
// sequence number.
func (p *protection) setNonce(wire []byte) {
	p.nonce = p.iv
	if p.explicit {
		copy(p.nonce[nonceLen-explicitNonceLen:], wire)
		return
	}
	low := p.nonce[nonceLen-sequenceLen:]
	binary.BigEndian.PutUint64(low, binary.BigEndian.Uint64(low)^p.seq)
}

func (p *protection) setAdditionalData(typ recordType, length int) {
	binary.BigEndian.PutUint64(p.aad[:], p.seq)
	putHeader(p.aad[sequenceLen:], typ, versionTLS12, length)
}
