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
// hash of its pseudorandom function.
type suite struct {
	id     uint16
	rsa    bool // signed with RSA; otherwise with ECDSA or EdDSA
	hash   crypto.Hash
	keyLen int
	ivLen  int // of the part that the key block holds

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

// The orders of preference: AES first where both sides have hardware for it.
var (
	aesFirst    = []*suite{ecdsaAES128, rsaAES128, ecdsaAES256, rsaAES256, ecdsaChaCha20, rsaChaCha20}
	chachaFirst = []*suite{ecdsaChaCha20, rsaChaCha20, ecdsaAES128, rsaAES128, ecdsaAES256, rsaAES256}
)

// signalling suites say something else than that they are supported.
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

// isGCM is whether the suite's nonce has a part on the wire.
func (s *suite) isGCM() bool { return s.ivLen < nonceLen }

// protect returns the protection of one direction under its part of the key block.
func (s *suite) protect(key, iv []byte) (*protection, error) {
	aead, err := s.aead(key)
	if err != nil {
		return nil, err
	}
	p := &protection{aead: aead, explicit: s.isGCM()}
	copy(p.iv[:], iv)
	return p, nil
}

// suiteByID returns the suite, or nil if it is none of this package's.
func suiteByID(id uint16) *suite {
	for _, s := range aesFirst {
		if s.id == id {
			return s
		}
	}
	return nil
}

// allowsSuite is whether config, if there is one, enables a suite.
func allowsSuite(config *tls.Config, id uint16) bool {
	return config == nil || config.CipherSuites == nil || slices.Contains(config.CipherSuites, id)
}

// chooseSuite returns the suite for a full handshake, or nil: as in crypto/tls,
// the first by this package's preference that both sides know and the
// certificate's key can sign for.
func chooseSuite(config *tls.Config, offered []uint16, rsa bool) *suite {
	for _, s := range preference(offered) {
		if s.rsa == rsa && slices.Contains(offered, s.id) && allowsSuite(config, s.id) {
			return s
		}
	}
	return nil
}

// preference puts AES first if the processor has it in hardware and the client,
// who puts what it does well first, seems to have it too.
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

// firstKnown is whether crypto/tls knows a suite, and whether it is AES-GCM with
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

// knownElsewhere lists what crypto/tls knows beside this package's suites.
var knownElsewhere = sync.OnceValue(func() []uint16 {
	var ids []uint16
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		ids = append(ids, s.ID)
	}
	return ids
})

// fastAES is whether crypto/tls finds that this processor does AES-GCM in
// hardware. It puts the suites of its own ClientHello in that order.
var fastAES = sync.OnceValue(func() bool {
	var hello firstRecord
	tls.Client(&hello, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}).Handshake() // fails: nobody answers
	message, ok := hello.message()
	var m clientHelloMsg
	return ok && parseMessage(&m, message) && len(m.suites) > 0 && suiteByID(m.suites[0]) != nil && suiteByID(m.suites[0]).isGCM()
})
