// Package sessionref makes the digest that names a session in logs and answers.
package sessionref

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
)

// Of returns the ref of a session id, which does not reveal the id: the first 16
// hexadecimal digits of a digest.
func Of(id string) string {
	h := sha256.New()
	io.WriteString(h, "halfshake session ref\x00")
	io.WriteString(h, id)
	return hex.EncodeToString(h.Sum(nil)[:8])
}
