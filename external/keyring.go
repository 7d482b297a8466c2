package external

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/halfshake/halfshake"
)

// A KeyRing holds the secret keys that the machines of a fleet share. Anyone who has one
// of them and the store has the sessions made under it. A KeyRing never changes, and is
// safe for concurrent use. Its printed and logged forms show no secret.
//
// Each key has an activation time, from which new sessions are made under it. A session's
// id shows which key it was made under. Because a key can become active in the future, it
// can be copied to every machine before any of them uses it. A rotation then costs no
// resumptions.
type KeyRing struct {
	keys []fleetKey // by activation, the earliest first
}

// Bounds of a key ring.
const (
	// MaxKeys is how many keys a ring may hold.
	MaxKeys = 16
	// keySize is the length in bytes of a key.
	keySize = 32
)

// GenerateKeys returns a ring of one random key, active from now on.
func GenerateKeys(now time.Time) *KeyRing {
	return &KeyRing{keys: []fleetKey{randomKey(now)}}
}

// Rotate returns a ring with one more random key, active from the given time on. It
// leaves out keys under which no session can still be valid at now. Once every copy of
// such a key is destroyed, the values sealed under it can never be opened again.
func (r *KeyRing) Rotate(now, active time.Time) (*KeyRing, error) {
	next := randomKey(active)
	kept := r.stillOpening(now)
	if last := kept[len(kept)-1]; !next.active.After(last.active) {
		return nil, fmt.Errorf("external: the new key would be active from %s, but the last key of the file is active from %s; choose a later time",
			stamp(next.active), stamp(last.active))
	}
	if len(kept) == MaxKeys {
		return nil, fmt.Errorf("external: the ring already holds %d keys, all of them in use; wait until the second oldest has been active for %v", MaxKeys, halfshake.MaxTimeout)
	}
	return &KeyRing{keys: append(kept, next)}, nil
}

// stillOpening returns the keys under which a session can be valid at now. A key makes
// its last session when the next key becomes active. An hour is added because clocks may
// disagree.
func (r *KeyRing) stillOpening(now time.Time) []fleetKey {
	oldest := now.Add(-halfshake.MaxTimeout - time.Hour)
	first := 0
	for first+1 < len(r.keys) && r.keys[first+1].active.Before(oldest) {
		first++
	}
	return slices.Clone(r.keys[first:])
}

// current returns the key for new sessions, which is the last active key. If none is
// active yet, which only a wrong clock can cause, it returns the first.
func (r *KeyRing) current(now time.Time) *fleetKey {
	for i := len(r.keys) - 1; i > 0; i-- {
		if !r.keys[i].active.After(now) {
			return &r.keys[i]
		}
	}
	return &r.keys[0]
}

// latest returns the key for new sessions and the one before it.
func (r *KeyRing) latest(now time.Time) (keys []*fleetKey) {
	current := r.current(now)
	for i := range r.keys {
		keys = append([]*fleetKey{&r.keys[i]}, keys...)
		if &r.keys[i] == current {
			break
		}
	}
	return keys[:min(len(keys), 2)]
}

// Made reports whether the id was made under one of the keys.
func (r *KeyRing) Made(id []byte) bool { return r.maker(id) != nil }

// Open opens a value from a [Store], for programs that show what a store contains. It does
// not say whether the session was removed. It returns nil if the value was sealed under
// none of the keys, or under another store key.
func (r *KeyRing) Open(key Key, value []byte) *halfshake.Session {
	for i := len(r.keys) - 1; i >= 0; i-- {
		if s := openSession(&r.keys[i], key, value); s != nil {
			return s
		}
	}
	return nil
}

// endedWithout reports whether next lacks a key that has been in force at now. If so, any
// lineage that began earlier than before may include a session made under that key.
// before is when the last such key was succeeded.
func (r *KeyRing) endedWithout(next *KeyRing, now time.Time) (before time.Time, ended bool) {
	current := r.current(now)
	for i := range r.keys {
		k := &r.keys[i]
		if !next.holds(k) {
			before, ended = now, true
			if k != current {
				before = r.keys[i+1].active
			}
		}
		if k == current {
			break
		}
	}
	return before, ended
}

// holds reports whether the key is in the ring.
func (r *KeyRing) holds(k *fleetKey) bool {
	return slices.ContainsFunc(r.keys, func(other fleetKey) bool { return other.same(k) })
}

// maker returns the key under which the id was made, or nil if no key matches. It also
// tries keys that are not active yet, because another machine's clock may be ahead.
func (r *KeyRing) maker(id []byte) *fleetKey {
	for i := len(r.keys) - 1; i >= 0; i-- {
		if r.keys[i].made(id) {
			return &r.keys[i]
		}
	}
	return nil
}

// String returns how many keys there are and when each becomes active.
func (r KeyRing) String() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d, active from", len(r.keys))
	for _, k := range r.keys {
		b.WriteByte(' ')
		b.WriteString(stamp(k.active))
	}
	return b.String()
}

// GoString returns the same as String.
func (r KeyRing) GoString() string { return r.String() }

// Format writes the same as String for every verb.
func (r KeyRing) Format(f fmt.State, _ rune) { io.WriteString(f, r.String()) }

// LogValue returns the same as String.
func (r KeyRing) LogValue() slog.Value { return slog.StringValue(r.String()) }

func randomKey(active time.Time) fleetKey {
	secret := make([]byte, keySize)
	rand.Read(secret)
	return newFleetKey(secret, active)
}

var errZeroKey = errors.New("a key of equal bytes is no secret; make one with \"halfshake keygen\"")

// checkSecret refuses a key that was not drawn at random: in CVE-2020-13777 (GnuTLS) a
// server's ticket key was zero.
func checkSecret(secret []byte) error {
	if len(secret) != keySize {
		return fmt.Errorf("a key has %d bytes, this one has %d", keySize, len(secret))
	}
	if bytes.Count(secret, secret[:1]) == keySize {
		return errZeroKey
	}
	return nil
}
