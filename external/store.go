package external

import (
	"context"
	"encoding/hex"
	"errors"
	"time"
)

// A Store keeps sealed sessions: it is the driver of one database. It sees no
// session id and no secret, and it is not trusted: what it answers is opened and
// checked before it is used.
//
// Keys that are asked for are hostile: a client can make a server ask for the key
// of any session that it ever had. An entry may be lost at any time, and then is
// not found; it must not come back once Delete or Take has returned, as far as
// the database holds what it acknowledged (each driver says what a crash and a
// failover do).
//
// All methods are safe for concurrent use, return soon after their context is
// done, and then with an error that is neither [ErrNotFound] nor [ErrConflict], and
// neither change nor keep the slices that they are handed; what they return belongs
// to the caller. An error may mean that the deed was done all the same. Errors carry
// no value, and no key but in the form of [Key.String].
type Store interface {
	// Put stores value, of 1 to [MaxValueSize] bytes, under key until expires (whether
	// that instant is included is the driver's choice), in place of what is there. Where expires has passed already, nothing is there
	// afterwards.
	Put(ctx context.Context, key Key, value []byte, expires time.Time) error

	// Get returns the value under key, and [ErrNotFound] if there is none or it
	// has expired.
	Get(ctx context.Context, key Key) ([]byte, error)

	// Take is Get and Delete in one: of any number of callers, on any machine, one
	// gets the value and all others [ErrNotFound], as far as the database is
	// linearizable.
	Take(ctx context.Context, key Key) ([]byte, error)

	// Delete removes the entry under key. That there is none is no error.
	Delete(ctx context.Context, key Key) error
}

// MaxValueSize is the length in bytes of the largest value that is put into a
// [Store]. A driver may refuse to read a larger one.
const MaxValueSize = 20 << 10

// ErrNotFound is returned, alone or wrapped, by [Store.Get], [Store.Take] and
// [RevocationLog.Load] for what is not there or has expired.
var ErrNotFound = errors.New("not found")

// A Key is what a [Store] knows a session by: a keyed digest of its id, from
// which the id cannot be told.
type Key [32]byte

// String returns the first 16 hexadecimal digits: enough to find a log line's
// entry, and not the whole name of it.
func (k Key) String() string { return hex.EncodeToString(k[:8]) }

// A RevocationLog keeps the fleet's one list of what is revoked, sealed, of 1 to
// [MaxLogSize] bytes. The type of every driver implements it beside [Store], over the
// same database, and what is said there of contexts, slices and errors holds here.
type RevocationLog interface {
	// Load returns the log, and [ErrNotFound] if none was ever made.
	Load(ctx context.Context) ([]byte, error)

	// CompareAndSwap puts next in the place of the log if that is old, byte for
	// byte; where old is nil, if there is none. Otherwise it changes nothing and
	// returns [ErrConflict]. Unlike a session, the log never expires, and a driver
	// acknowledges it only when it would survive a crash.
	CompareAndSwap(ctx context.Context, old, next []byte) error
}

// MaxLogSize is the length in bytes of the largest revocation log.
const MaxLogSize = 256 << 10

// ErrConflict is returned, alone or wrapped, by [RevocationLog.CompareAndSwap] when
// the log is not what the caller took it for.
var ErrConflict = errors.New("the log has changed")
