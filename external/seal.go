package external

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"math/bits"

	"golang.org/x/crypto/cryptobyte"

	"github.com/halfshake/halfshake"
)

// A sealed value is
//
//	struct {
//	    uint8 format = 1;
//	    opaque nonce[12];
//	    opaque box[];       /* AES-256-GCM of what was padded, tag included */
//	} Sealed;
//
// Each session is sealed under its own key, derived from the fleet's key and the store
// key of the entry. A value that was moved to another store key therefore does not open,
// and no sealing key is used too often (SP 800-38D section 8.3 allows 2^32 random nonces
// a key). The revocation log is sealed under a single derived key, because one write
// covers a group of removals. The format byte is authenticated too.
const (
	sealFormat = 1
	nonceSize  = 12
	tagSize    = 16
	sealExtra  = 1 + nonceSize + tagSize
)

// The plaintext is a session with its length, or a [record], padded with zeros to one of a
// few lengths, four for each power of two. A value's length therefore reveals little, and
// above the minimum length the padding adds at most a quarter. Padding to powers of two
// would hide more, but then a typical chain of certificates (3.5 kB) would not fit in a
// page of 4 KiB.
//
//	struct {
//	    opaque session<0..2^16-1>;
//	    uint8 zeros[];
//	} PaddedSession;
//
//	struct {
//	    Record record;
//	    uint8 zeros[];
//	} PaddedRecord;
const (
	minPadded = 256
	maxPadded = 2 + halfshake.MaxSessionSize

	minPaddedLog = 4 << 10
	maxPaddedLog = MaxLogSize - sealExtra
)

var (
	errTooLarge = errors.New("the session is too large to seal")
	errUnsealed = errors.New("the value does not open")
)

// seal returns the value that the store keeps for a session under key.
func (k *fleetKey) seal(key Key, session []byte) ([]byte, error) {
	if len(session) > halfshake.MaxSessionSize {
		return nil, errTooLarge
	}
	value, padded := newSealed(paddedSize(2+len(session), minPadded, maxPadded))
	binary.BigEndian.PutUint16(padded, uint16(len(session)))
	copy(padded[2:], session)
	return closeBox(newBox(k.entryKey(key)), value), nil
}

// open returns the session in a value that the store returned for key. The error is
// always the same, so that an attacker who writes to the store learns nothing from it.
func (k *fleetKey) open(key Key, value []byte) ([]byte, error) {
	if len(value) > sealExtra+maxPadded {
		return nil, errUnsealed
	}
	padded, err := openBox(newBox(k.entryKey(key)), value)
	if err != nil {
		return nil, err
	}
	return unpad(padded)
}

// unpad returns the session in a padded plaintext. It accepts only the padding of seal.
func unpad(padded []byte) ([]byte, error) {
	var session cryptobyte.String
	s := cryptobyte.String(padded)
	if !s.ReadUint16LengthPrefixed(&session) || !isPadding(s, len(padded), minPadded, maxPadded) {
		return nil, errUnsealed
	}
	return session, nil
}

// sealLog returns the revocation log that holds r.
func (k *fleetKey) sealLog(r *record) []byte {
	encoded := r.encode()
	value, padded := newSealed(paddedSize(len(encoded), minPaddedLog, maxPaddedLog))
	copy(padded, encoded)
	return closeBox(newBox(k.logKey()), value)
}

// openLog returns the record in a revocation log, and the key of the ring that it was
// sealed under.
func (r *KeyRing) openLog(value []byte) (record, *fleetKey, error) {
	if len(value) > MaxLogSize {
		return record{}, nil, errUnsealed
	}
	for i := len(r.keys) - 1; i >= 0; i-- {
		k := &r.keys[i]
		padded, err := openBox(newBox(k.logKey()), value)
		if err != nil {
			continue
		}
		if rec, err := unpadRecord(padded); err == nil {
			return rec, k, nil
		}
	}
	return record{}, nil, errUnsealed
}

// unpadRecord returns the record in a padded plaintext. It accepts only the padding of
// sealLog.
func unpadRecord(padded []byte) (record, error) {
	s := cryptobyte.String(padded)
	r, ok := readRecord(&s)
	if !ok || !isPadding(s, len(padded), minPaddedLog, maxPaddedLog) {
		return record{}, errUnsealed
	}
	return r, nil
}

// newSealed returns a buffer for a sealed value, and the part of it that holds the padded
// plaintext. The plaintext is sealed in place.
func newSealed(size int) (value, padded []byte) {
	value = make([]byte, 1+size, sealExtra+size)
	value[0] = sealFormat
	return value, value[1:]
}

// closeBox seals what newSealed returned.
func closeBox(box cipher.AEAD, value []byte) []byte {
	format, padded := value[:1], value[1:]
	return box.Seal(format, nil, padded, format)
}

func openBox(box cipher.AEAD, value []byte) ([]byte, error) {
	if len(value) < sealExtra || value[0] != sealFormat {
		return nil, errUnsealed
	}
	padded, err := box.Open(nil, nil, value[1:], value[:1])
	if err != nil {
		return nil, errUnsealed
	}
	return padded, nil
}

// newBox returns the cipher of one key.
func newBox(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("halfshake: internal error: " + err.Error()) // keys have one length
	}
	box, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("halfshake: internal error: " + err.Error())
	}
	return box
}

// isPadding reports whether rest, the end of size bytes, is exactly the padding that seal
// or sealLog adds.
func isPadding(rest []byte, size, least, most int) bool {
	for _, b := range rest {
		if b != 0 {
			return false
		}
	}
	return size == paddedSize(size-len(rest), least, most)
}

// paddedSize returns the smallest padded length that holds n bytes.
func paddedSize(n, least, most int) int {
	n = max(n, least)
	step := 1 << bits.Len(uint(n-1)) / 8 // a quarter of the power of two below
	return min((n+step-1)/step*step, most)
}
