package external

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"time"
)

// A fleetKey is one key of a ring, with the keys derived from it, one for each
// purpose.
type fleetKey struct {
	active time.Time
	secret []byte

	idKey    []byte // of the MAC in ids
	storeKey []byte // of the digests that the store sees
	sealKey  []byte // from which each value's key is derived
}

func newFleetKey(secret []byte, active time.Time) fleetKey {
	return fleetKey{
		active: active.UTC().Truncate(time.Second), secret: secret,
		idKey:    derive(secret, "halfshake external 1 id"),
		storeKey: derive(secret, "halfshake external 1 store key"),
		sealKey:  derive(secret, "halfshake external 1 seal"),
	}
}

// derive is HKDF-Expand with SHA-256 (RFC 5869 section 2.3): a fleet key is
// uniformly random, so there is nothing to extract.
func derive(key []byte, purpose string) []byte {
	derived, err := hkdf.Expand(sha256.New, key, purpose, keySize)
	if err != nil {
		panic("halfshake: internal error: " + err.Error()) // keys have one length
	}
	return derived
}

// An id of ours is 16 random bytes and the first 16 of their HMAC-SHA-256, so
// that an id which no machine of the fleet made costs no look at the store.
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
	return mac(k.idKey, random)[:idSize-idRandom]
}

// name returns what the store knows the session by.
func (k *fleetKey) name(id []byte) Key { return Key(mac(k.storeKey, id)) }

func mac(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil)
}
