package external

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"math/bits"

	"github.com/halfshake/halfshake"
)

// A sealed value is
//
//	struct {
//	    uint8 format = 1;
//	    opaque nonce[12];
//	    opaque box[];       /* AES-256-GCM of the padded session, tag included */
//	} Sealed;
//
// under a key of its own, derived from the fleet's key and the store's key of the
// entry: a value that was moved to another key does not open, and no number of
// sessions wears a key out (SP 800-38D section 8.3 allows 2^32 random nonces a
// key). The format is authenticated too. The session inside carries its id,
// scope and expiry.
const (
	sealFormat = 1
	nonceSize  = 12
	tagSize    = 16
	sealExtra  = 1 + nonceSize + tagSize
)

// The padded session is its length, its encoding, and zeros, so that a value's
// length says little.
//
//	struct {
//	    opaque session<0..2^16-1>;
//	    uint8 zeros[];
//	} Padded;
const (
	minPadded = 256
	maxPadded = 2 + halfshake.MaxSessionSize
)

var (
	errTooLarge = errors.New("the session is too large to seal")
	errUnsealed = errors.New("the value does not open")
)

// seal returns the value that the store keeps for a session under key.
func (k *fleetKey) seal(key Key, session []byte) ([]byte, error) {
	padded, err := pad(session)
	if err != nil {
		return nil, err
	}
	return k.box(key).Seal([]byte{sealFormat}, nil, padded, []byte{sealFormat}), nil
}

// open returns the session in a value that the store answered with for key. The
// error says nothing: who writes to the store learns nothing from it.
func (k *fleetKey) open(key Key, value []byte) ([]byte, error) {
	if len(value) < sealExtra+minPadded || len(value) > sealExtra+maxPadded || value[0] != sealFormat {
		return nil, errUnsealed
	}
	padded, err := k.box(key).Open(nil, nil, value[1:], value[:1])
	if err != nil {
		return nil, errUnsealed
	}
	return unpad(padded)
}

// box is the cipher of one entry.
func (k *fleetKey) box(key Key) cipher.AEAD {
	block, err := aes.NewCipher(k.entryKey(key))
	if err != nil {
		panic("halfshake: internal error: " + err.Error()) // keys have one length
	}
	box, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("halfshake: internal error: " + err.Error())
	}
	return box
}

func pad(session []byte) ([]byte, error) {
	if len(session) > halfshake.MaxSessionSize {
		return nil, errTooLarge
	}
	padded := make([]byte, paddedSize(2+len(session)))
	binary.BigEndian.PutUint16(padded, uint16(len(session)))
	copy(padded[2:], session)
	return padded, nil
}

// unpad is the inverse of pad, and of nothing else.
func unpad(padded []byte) ([]byte, error) {
	if len(padded) < 2 {
		return nil, errUnsealed
	}
	n := 2 + int(binary.BigEndian.Uint16(padded))
	if n > len(padded) || len(padded) != paddedSize(n) {
		return nil, errUnsealed
	}
	for _, b := range padded[n:] {
		if b != 0 {
			return nil, errUnsealed
		}
	}
	return padded[2:n], nil
}

// paddedSize is the next power of two, the largest session's excepted.
func paddedSize(n int) int {
	return min(max(minPadded, 1<<bits.Len(uint(n-1))), maxPadded)
}
