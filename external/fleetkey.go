package external

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"hash"
	"sync"
	"time"
)

// A fleetKey is one key of a ring, with the keys that are derived from it, one for
// each purpose.
type fleetKey struct {
	active time.Time
	secret []byte

	idKey    macKey // of the MAC in ids
	storeKey macKey // of the digests that the store sees
	sealKey  macKey // from which each value's key is derived
}

func newFleetKey(secret []byte, active time.Time) fleetKey {
	return fleetKey{
		active: active.UTC().Truncate(time.Second), secret: secret,
		idKey:    newMACKey(derive(secret, "halfshake external 1 id")),
		storeKey: newMACKey(derive(secret, "halfshake external 1 store key")),
		sealKey:  newMACKey(derive(secret, "halfshake external 1 seal")),
	}
}

// same reports whether the keys have the same secret.
func (k *fleetKey) same(other *fleetKey) bool { return bytes.Equal(k.secret, other.secret) }

// derive is HKDF-Expand with SHA-256 (RFC 5869 section 2.3). A fleet key is uniformly
// random, so it needs no HKDF-Extract.
func derive(key []byte, purpose string) []byte {
	derived, err := hkdf.Expand(sha256.New, key, purpose, keySize)
	if err != nil {
		panic("halfshake: internal error: " + err.Error()) // keys have one length
	}
	return derived
}

// entryKey returns the key of one entry's value. It too is HKDF-Expand, which for the
// length of one hash is a single HMAC.
func (k *fleetKey) entryKey(key Key) []byte {
	return k.sealKey.mac(append(key[:], 1))
}

// logKey returns the key of the revocation log.
func (k *fleetKey) logKey() []byte { return derive(k.secret, "halfshake external 1 log") }

// A macKey is a key of HMAC-SHA-256 that is used many times. The part of the
// computation that does not depend on the data is done once.
type macKey struct{ hashes *sync.Pool }

func newMACKey(key []byte) macKey {
	return macKey{&sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

func (m macKey) mac(data []byte) []byte {
	h := m.hashes.Get().(hash.Hash)
	defer m.hashes.Put(h)
	h.Reset()
	h.Write(data)
	return h.Sum(nil)
}

// An id is 16 random bytes and the first 16 bytes of their HMAC-SHA-256. An id that no
// machine of the fleet made therefore costs no read of the store.
const (
	idRandom = 16
	idSize   = 32
)

func (k *fleetKey) newID() []byte {
	id := make([]byte, idRandom, idSize)
	rand.Read(id)
	return append(id, k.idMAC(id)...)
}

func (k *fleetKey) made(id []byte) bool {
	return len(id) == idSize && hmac.Equal(id[idRandom:], k.idMAC(id[:idRandom]))
}

func (k *fleetKey) idMAC(random []byte) []byte {
	return k.idKey.mac(random)[:idSize-idRandom]
}

// name returns the store's key of the session.
func (k *fleetKey) name(id []byte) Key { return Key(k.storeKey.mac(id)) }
