package tls12

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/tls"
	"slices"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"
)

// A suite is a cipher suite: ECDHE with signatures of one kind, an AEAD, and the
// hash of the pseudorandom function.
type suite struct {
	id     uint16
	rsa    bool // signed with RSA; otherwise with ECDSA or EdDSA
	hash   crypto.Hash
	keyLen int
	ivLen  int // of the part that comes from the key block

	aead func(key []byte) (cipher.AEAD, error)
}

var (
	ecdsaAES128   = &suite{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, false, crypto.SHA256, 16, 4, newGCM}
	rsaAES128     = &suite{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, true, crypto.SHA256, 16, 4, newGCM}
	ecdsaAES256   = &suite{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, false, crypto.SHA384, 32, 4, newGCM}
	rsaAES256     = &suite{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, true, crypto.SHA384, 32, 4, newGCM}
	ecdsaChaCha20 = &suite{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, false, crypto.SHA256, 32, nonceLen, chacha20poly1305.New}
	rsaChaCha20   = &suite{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, true, crypto.SHA256, 32, nonceLen, chacha20poly1305.New}
)

// The orders of preference. AES comes first if both sides have hardware for it.
var (
	aesFirst    = []*suite{ecdsaAES128, rsaAES128, ecdsaAES256, rsaAES256, ecdsaChaCha20, rsaChaCha20}
	chachaFirst = []*suite{ecdsaChaCha20, rsaChaCha20, ecdsaAES128, rsaAES128, ecdsaAES256, rsaAES256}
)

// Signalling suites, which are values in the list of suites but not cipher suites.
const (
	renegotiationSCSV uint16 = 0x00ff // RFC 5746, section 3.3
	fallbackSCSV             = tls.TLS_FALLBACK_SCSV
)

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// isGCM reports whether each record carries a part of the nonce.
func (s *suite) isGCM() bool { return s.ivLen < nonceLen }

// protect returns the protection of one direction under its keys.
func (s *suite) protect(key, iv []byte) (*protection, error) {
	aead, err := s.aead(key)
	if err != nil {
		return nil, err
	}
	p := &protection{aead: aead, explicit: s.isGCM()}
	copy(p.iv[:], iv)
	return p, nil
}

// suiteByID returns the suite, or nil if this package does not have it.
func suiteByID(id uint16) *suite {
	for _, s := range aesFirst {
		if s.id == id {
			return s
		}
	}
	return nil
}

// allowsSuite reports whether config enables a suite. A nil config enables all.
func allowsSuite(config *tls.Config, id uint16) bool {
	return config == nil || config.CipherSuites == nil || slices.Contains(config.CipherSuites, id)
}

// chooseSuite returns the suite for a full handshake, or nil. As in crypto/tls, it is
// the first in this package's order of preference that both sides support and the
// certificate's key can sign for.
func chooseSuite(config *tls.Config, offered []uint16, rsa bool) *suite {
	for _, s := range preference(offered) {
		if s.rsa == rsa && slices.Contains(offered, s.id) && allowsSuite(config, s.id) {
			return s
		}
	}
	return nil
}

// preference puts AES first if the processor has hardware for it and the client seems
// to have it too: clients list first what is fast for them.
func preference(offered []uint16) []*suite {
	if !fastAES() {
		return chachaFirst
	}
	for _, id := range offered {
		if known, gcm := firstKnown(id); known {
			if gcm {
				return aesFirst
			}
			break
		}
	}
	return chachaFirst
}

// firstKnown reports whether crypto/tls knows a suite, and whether it is AES-GCM with
// forward secrecy.
func firstKnown(id uint16) (known, gcm bool) {
	switch id {
	case tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384:
		return true, true
	}
	if s := suiteByID(id); s != nil {
		return true, s.isGCM()
	}
	return slices.Contains(knownElsewhere(), id), false
}

// knownElsewhere lists the suites of crypto/tls.
var knownElsewhere = sync.OnceValue(func() []uint16 {
	var ids []uint16
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		ids = append(ids, s.ID)
	}
	return ids
})

// fastAES reports whether crypto/tls finds hardware for AES-GCM. The order of the
// suites in its ClientHello shows that.
var fastAES = sync.OnceValue(func() bool {
	var hello firstRecord
	tls.Client(&hello, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}).Handshake() // fails, because nobody answers
	message, ok := hello.message()
	var m clientHelloMsg
	return ok && parseMessage(&m, message) && len(m.suites) > 0 && suiteByID(m.suites[0]) != nil && suiteByID(m.suites[0]).isGCM()
})
