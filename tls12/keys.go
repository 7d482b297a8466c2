package tls12

import (
	"crypto"
	"crypto/hmac"
	"hash"
)

const (
	randomLen       = 32
	masterSecretLen = 48
	verifyDataLen   = 12
)

const (
	labelMaster         = "master secret"
	labelExtendedMaster = "extended master secret"
	labelKeyExpansion   = "key expansion"
	labelClientFinished = "client finished"
	labelServerFinished = "server finished"
)

// A prf is the pseudorandom function of RFC 5246, section 5, under one secret.
type prf struct {
	mac hash.Hash

	// Scratch space, kept here so that it does not escape at each call.
	seed  []byte   // label and seed
	a     [64]byte // A(i); the largest hash has 64 bytes
	block [64]byte
}

// usualSeed is room for a label and two randoms.
const usualSeed = 96

func newPRF(h crypto.Hash, secret []byte) *prf {
	return &prf{mac: hmac.New(h.New, secret), seed: make([]byte, 0, usualSeed)}
}

// fill fills dst from the label and the parts of the seed.
func (p *prf) fill(dst []byte, label string, seed ...[]byte) {
	p.seed = append(p.seed[:0], label...)
	for _, part := range seed {
		p.seed = append(p.seed, part...)
	}
	a := p.sum(p.a[:0], p.seed, nil)
	for {
		n := copy(dst, p.sum(p.block[:0], a, p.seed))
		if dst = dst[n:]; len(dst) == 0 {
			return
		}
		a = p.sum(p.a[:0], a, nil)
	}
}

func (p *prf) sum(dst, first, second []byte) []byte {
	p.mac.Reset()
	p.mac.Write(first)
	p.mac.Write(second)
	return p.mac.Sum(dst)
}

// masterSecret is RFC 5246, section 8.1.
func masterSecret(h crypto.Hash, preMaster, clientRandom, serverRandom []byte) []byte {
	master := make([]byte, masterSecretLen)
	newPRF(h, preMaster).fill(master, labelMaster, clientRandom, serverRandom)
	return master
}

// extendedMasterSecret is RFC 7627, section 4; sessionHash covers the messages up
// to and including ClientKeyExchange.
func extendedMasterSecret(h crypto.Hash, preMaster, sessionHash []byte) []byte {
	master := make([]byte, masterSecretLen)
	newPRF(h, preMaster).fill(master, labelExtendedMaster, sessionHash)
	return master
}

// secrets holds the master secret of a connection and what derives from it.
type secrets struct {
	master                     []byte
	prf                        *prf
	clientRandom, serverRandom []byte
}

func newSecrets(s *suite, master, clientRandom, serverRandom []byte) *secrets {
	return &secrets{master, newPRF(s.hash, master), clientRandom, serverRandom}
}

// protections returns the record protection of the client's and of the server's
// direction (RFC 5246, section 6.3).
func (k *secrets) protections(s *suite) (client, server *protection, err error) {
	block := make([]byte, 2*s.keyLen+2*s.ivLen)
	k.prf.fill(block, labelKeyExpansion, k.serverRandom, k.clientRandom)
	keys, ivs := block[:2*s.keyLen], block[2*s.keyLen:]
	if client, err = s.protect(keys[:s.keyLen], ivs[:s.ivLen]); err != nil {
		return nil, nil, err
	}
	server, err = s.protect(keys[s.keyLen:], ivs[s.ivLen:])
	return client, server, err
}

// verifyData returns the content of a Finished message (RFC 5246, section 7.4.9).
func (k *secrets) verifyData(label string, transcript []byte) []byte {
	data := make([]byte, verifyDataLen)
	k.prf.fill(data, label, transcript)
	return data
}

// A transcript is the hash of the handshake so far. While a client certificate is
// expected, it also keeps the messages, because a signature in TLS 1.2 may use
// another hash than the suite's.
type transcript struct {
	hash hash.Hash
	keep bool
	all  []byte
}

func (t *transcript) add(message []byte) {
	t.hash.Write(message)
	if t.keep {
		t.all = append(t.all, message...)
	}
}

func (t *transcript) sum() []byte { return t.hash.Sum(nil) }

// release frees the messages. The hash continues.
func (t *transcript) release() { t.keep, t.all = false, nil }
