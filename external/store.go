package external

import (
	"context"
	"encoding/hex"
	"errors"
	"time"
)

// A Store keeps sealed sessions and the fleet's revocation log: it is the driver of
// one database. It sees neither session ids nor secrets, and it is not trusted:
// everything it returns is opened and checked before use.
//
// Loss: a store may lose an entry at any time; it is then not found. Once Delete or Take
// has returned, the entry must not come back, provided that the database keeps what it
// has acknowledged. Each driver documents the effect of a crash and of a failover.
//
// Trust: clients choose the keys of look-ups. A client can make a server ask for the key
// of any session that the client ever had.
//
// Bounds: a store that bounds itself evicts by [Class]. Other stores ignore the
// class, and their documentation says so.
//
// Calls: all methods are safe for concurrent use. They return soon after their
// context is done, with an error that is neither [ErrNotFound] nor [ErrConflict].
// They neither change nor keep the slices they are given, and the caller owns the
// slices they return. A method that returns an error may still have taken effect.
// Errors contain no value, and a key only as [Key.String] writes it.
type Store interface {
	// Put stores value, of 1 to [MaxValueSize] bytes, under key until expires. It
	// replaces the entry that is there, its class included. The driver chooses
	// whether the entry is still found at the instant expires. If expires has passed
	// already, Put leaves no entry under key.
	Put(ctx context.Context, key Key, value []byte, expires time.Time, class Class) error

	// Get returns the value under key, or [ErrNotFound] if it does not exist or has
	// expired.
	Get(ctx context.Context, key Key) ([]byte, error)

	// Take gets and deletes the value under key in one step. Of any number of callers,
	// on any number of machines, one gets the value and all others get [ErrNotFound],
	// provided that the database is linearizable.
	Take(ctx context.Context, key Key) ([]byte, error)

	// Delete removes the entry under key. It returns nil if the entry does not exist.
	Delete(ctx context.Context, key Key) error

	RevocationLog
}

// A Class tells a [Store] that bounds itself which entries to evict first.
//
// Unproved entries may fill all free room and are evicted first, those nearest to their
// expiry before the others. Abandoned handshakes therefore cannot evict the sessions in
// use. Proved entries hold at most four fifths of the bound, so that a new session always
// finds room. Beyond that share, the proved entries nearest to their expiry are treated
// as unproved.
type Class uint8

const (
	// ClassUnproved is the class of a session whose client has proved nothing yet.
	ClassUnproved Class = iota
	// ClassProved is the class of a session whose client has proved that it holds
	// the session's keys.
	ClassProved
)

// MaxValueSize is the length in bytes of the largest value that is put into a
// [Store]. A driver may refuse to read a larger one.
const MaxValueSize = 20 << 10

// ErrNotFound is returned, alone or wrapped, by [Store.Get], [Store.Take] and
// [RevocationLog.Load] if the value does not exist or has expired.
var ErrNotFound = errors.New("not found")

// A Key is the name of a session in a [Store]: a keyed digest of its id, which does
// not reveal the id.
type Key [32]byte

// String returns the first 16 hexadecimal digits: enough to match the lines of a
// log, and not enough to ask the store for the entry.
func (k Key) String() string { return hex.EncodeToString(k[:8]) }

// A RevocationLog keeps the fleet's single record of revocations, sealed, of 1 to
// [MaxLogSize] bytes. It is part of every [Store], in the same database. The rules of
// Store for calls, slices and errors apply here too.
type RevocationLog interface {
	// Load returns the log, or [ErrNotFound] if none was ever made.
	Load(ctx context.Context) ([]byte, error)

	// CompareAndSwap replaces the log with next if the log equals old, byte for byte. A
	// nil old means that there is no log yet. Otherwise it changes nothing and returns
	// [ErrConflict]. Unlike a session, the log never expires, and a driver
	// acknowledges a new log only once it would survive a crash.
	CompareAndSwap(ctx context.Context, old, next []byte) error
}

// MaxLogSize is the length in bytes of the largest revocation log.
const MaxLogSize = 256 << 10

// ErrConflict is returned, alone or wrapped, by [RevocationLog.CompareAndSwap] when
// the log is not the one that the caller passed as old.
var ErrConflict = errors.New("the log has changed")
