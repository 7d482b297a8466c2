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

// The padded session is its length, its encoding, and zeros up to the next of the
// lengths that there are, four to each power of two: so a value's length says little,
// and beyond the least the zeros are at most a quarter of what they hide. Powers of two
// alone would hide more, and a chain of certificates of 3.5 kB would not fit a page of 4 KiB.
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

// seal returns the value that the store keeps for a session under key. It is padded and
// sealed in one buffer.
func (k *fleetKey) seal(key Key, session []byte) ([]byte, error) {
	if len(session) > halfshake.MaxSessionSize {
		return nil, errTooLarge
	}
	size := paddedSize(2 + len(session))
	value := make([]byte, 1+size, sealExtra+size)
	format, padded := value[:1], value[1:]
	format[0] = sealFormat
	binary.BigEndian.PutUint16(padded, uint16(len(session)))
	copy(padded[2:], session)
	return k.box(key).Seal(format, nil, padded, format), nil
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

// unpad returns the session in what was padded as seal does, and in nothing else.
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

// paddedSize is the least of the lengths that has room for n bytes.
func paddedSize(n int) int {
	n = max(n, minPadded)
	step := 1 << bits.Len(uint(n-1)) / 8 // a quarter of the power of two below
	return min((n+step-1)/step*step, maxPadded)
}
