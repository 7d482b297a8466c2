package storetest

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	mathrand "math/rand/v2"

	"github.com/halfshake/halfshake/external"
)

// newKey returns a key that no other check uses.
func newKey() (key external.Key) {
	rand.Read(key[:])
	return key
}

func newValue(size int) []byte {
	value := make([]byte, size)
	rand.Read(value)
	return value
}

// numbered returns the value of a number for key, of 8 bytes to some 4 kilobytes. No two
// keys or numbers share a part of it.
func numbered(key external.Key, number uint64) []byte {
	binary.BigEndian.PutUint64(key[:], number)
	value := make([]byte, 8+number*997%4000)
	mathrand.NewChaCha8(key).Read(value[8:])
	binary.BigEndian.PutUint64(value, number)
	return value
}

// numberOf returns the number of a value for key, and false if it is not the whole of
// such a value.
func numberOf(key external.Key, value []byte) (number uint64, ok bool) {
	if len(value) < 8 {
		return 0, false
	}
	number = binary.BigEndian.Uint64(value)
	return number, bytes.Equal(value, numbered(key, number))
}
