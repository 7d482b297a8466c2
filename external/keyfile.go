package external

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The file of a key ring is text, ended by a newline:
//
//	halfshake fleet keys 1
//	2026-11-21T12:00:00Z 8f0c…  (64 hexadecimal digits)
//
// Each key has one line, earliest activation first. A ring has only one encoding: a file
// that parses encodes to the same bytes again.
const keyFileHeader = "halfshake fleet keys 1"

// maxKeyFile is larger than any valid key file.
const maxKeyFile = 4 << 10

// ErrBadKeys is wrapped by the errors of [ParseKeys].
var ErrBadKeys = errors.New("not a file of fleet keys")

// MarshalText encodes the ring as a key file. The text contains the secret keys: write it
// only to a file of mode 0600.
func (r *KeyRing) MarshalText() ([]byte, error) {
	b := []byte(keyFileHeader + "\n")
	for _, k := range r.keys {
		b = append(b, stamp(k.active)+" "...)
		b = append(hex.AppendEncode(b, k.secret), '\n')
	}
	return b, nil
}

// ParseKeys decodes the output of [KeyRing.MarshalText]. The error wraps [ErrBadKeys],
// names the line and what is wrong with it, and shows nothing of the text. A short, zero
// or repeated key is an error, and so is a ring without keys.
func ParseKeys(text []byte) (*KeyRing, error) {
	header, rest, _ := bytes.Cut(text, []byte("\n"))
	switch {
	case len(text) == 0:
		return nil, badKeys("it is empty; delete it and make one with \"halfshake keygen\"")
	case string(header) == keyFileHeader+"\r":
		return nil, badKeys("its lines end in CR LF; end them in LF alone")
	case string(header) != keyFileHeader:
		return nil, badKeys("line 1 is not %q", keyFileHeader)
	case len(rest) == 0:
		return nil, badKeys("there is no key in it; delete it and make one with \"halfshake keygen\"")
	case rest[len(rest)-1] != '\n':
		return nil, badKeys("its last line does not end; it may have been cut off")
	case len(text) > maxKeyFile:
		return nil, badKeys("it has %d bytes; %d keys have no more than %d", len(text), MaxKeys, maxKeyFile)
	}
	ring := &KeyRing{}
	number := 1
	for line := range strings.Lines(string(rest)) {
		number++
		k, err := parseKeyLine(strings.TrimSuffix(line, "\n"))
		if err == nil {
			err = ring.mayFollow(k)
		}
		if err != nil {
			return nil, badKeys("line %d: %w", number, err)
		}
		ring.keys = append(ring.keys, k)
	}
	return ring, nil
}

func badKeys(format string, args ...any) error {
	return fmt.Errorf("external: %w: %w", ErrBadKeys, fmt.Errorf(format, args...))
}

func parseKeyLine(line string) (fleetKey, error) {
	first, second, ok := strings.Cut(line, " ")
	active, err := time.Parse(time.RFC3339, first)
	if !ok || err != nil || stamp(active) != first {
		return fleetKey{}, errors.New("it does not begin with a time as in 2026-11-21T12:00:00Z and a space")
	}
	secret, err := hex.DecodeString(second)
	if err != nil || strings.ToLower(second) != second {
		return fleetKey{}, errors.New("after the time there are not 64 hexadecimal digits in lower case") // err would quote one
	}
	if err := checkSecret(secret); err != nil {
		return fleetKey{}, err
	}
	return newFleetKey(secret, active), nil
}

// mayFollow says why k cannot be the ring's next key.
func (r *KeyRing) mayFollow(k fleetKey) error {
	if len(r.keys) == MaxKeys {
		return fmt.Errorf("it is more than key %d", MaxKeys)
	}
	if len(r.keys) > 0 && !k.active.After(r.keys[len(r.keys)-1].active) {
		return errors.New("its time is not later than that of the line before")
	}
	for _, other := range r.keys {
		if bytes.Equal(k.secret, other.secret) {
			return errors.New("the same key is there already")
		}
	}
	return nil
}

// stamp is a time as a key file has it: in UTC, to the second.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
