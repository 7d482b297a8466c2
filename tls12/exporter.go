package tls12

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

var errNoExtendedMaster = errors.New("tls12: cannot export keying material: the connection has no extended master secret (RFC 7627, section 5.4)")

// ExportKeyingMaterial returns length bytes of keying material (RFC 5705). It
// completes the handshake first. A nil context differs from an empty one. It returns
// an error if the handshake fails, if the connection has no extended master secret,
// if TLS itself uses the label, if the context is longer than 65535 bytes, or if
// length is not positive.
func (c *Conn) ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error) {
	if err := c.Handshake(); err != nil {
		return nil, err
	}
	switch label {
	case labelMaster, labelKeyExpansion, labelClientFinished, labelServerFinished, labelExtendedMaster:
		return nil, fmt.Errorf("tls12: the label %q is reserved", label)
	}
	switch {
	case !c.agreed.extendedMaster:
		return nil, errNoExtendedMaster
	case len(context) > math.MaxUint16:
		return nil, errors.New("tls12: the exporter's context is longer than 65535 bytes")
	case length <= 0:
		return nil, errors.New("tls12: the length of exported keying material must be positive")
	}
	seed := [][]byte{c.secrets.clientRandom, c.secrets.serverRandom}
	if context != nil {
		seed = append(seed, binary.BigEndian.AppendUint16(nil, uint16(len(context))), context)
	}
	material := make([]byte, length)
	prf := newPRF(suiteByID(c.agreed.suite).hash, c.secrets.master) // c.secrets.prf is not safe for concurrent use
	prf.fill(material, label, seed...)
	return material, nil
}
