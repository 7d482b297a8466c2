// Package sessioncache is the data structure of the internal session cache. It is a map
// from session id to session, bounded exactly by count and by accounted bytes. It always
// evicts the session nearest to its expiry. [New] makes a [Cache].
//
// The cache has three parts: [Unproved], [Proved] and [Used]. A session begins unproved, and
// the caller promotes it. What is unproved is evicted first, and what has been used last.
// Abandoned handshakes therefore push out only one another, and clients that come once do
// not push out those that come back. The proved and the used together hold at most four
// fifths of the cache, so that a new session always finds room.
//
// Sessions are kept as bytes, in arrays without pointers, so that the garbage
// collector has nearly nothing to do for a million of them. What goes out is a new
// value each time.
//
// The way through the code: Cache here is the lock and the values around a store;
// its operations are in put.go, part.go, limits.go and expire.go, the session in it
// in store.go, and what that is made of in index.go (from key to slot), cells.go (a
// slot's bytes), queue.go (the order within a part) and table.go (the arrays of all
// these).
package sessioncache

import (
	"fmt"
	"io"
	"iter"
	"sync"
)

// Value is a session as the cache sees it. The cache reads each method at most
// once a call and keeps the answers, so that a value which changes later harms
// nobody: an entry that can no longer be found under its own key can never be
// removed (OpenSSL's CVE-2024-2511).
type Value interface {
	// Key is the session id's bytes, at most 255.
	Key() string
	// Serial is the session's identity: two values with one serial are the
	// same session.
	Serial() uint64
	// ExpirySecond is the last Unix second in which the session is valid.
	ExpirySecond() int64
	// Size is what the session counts against Limits.Bytes: more than 0. What it
	// takes of memory is its Footprint.
	Size() int
	// AppendRecord appends what makes the value again, beside its key and serial,
	// to b.
	AppendRecord(b []byte) []byte
}

// A Decode makes a value of what it said of itself. Key and record are copies,
// made for this call, that the value may keep.
type Decode[V Value] func(serial uint64, key, record []byte) V

// Cache holds sessions. It is safe for concurrent use. It calls nothing but
// the methods of Value and Decode, and those outside its lock. What leaves the
// cache is handed to the caller and is no longer in here, since it is key
// material.
//
// The cache has no clock: a session past its expiry is found, and takes up
// room, until Expire or something else removes it.
type Cache[V Value] struct {
	decode Decode[V]

	mu    sync.Mutex
	store *store // guarded by mu
}

// Change is what a Put did. The caller runs whatever callbacks it calls for.
type Change[V any] struct {
	Stored     bool // the value is in now and was not before
	Replaced   V    // what was under the same key, if DidReplace
	DidReplace bool
	Evicted    []V // what made room, in the order in which it was chosen
}

// New returns an empty cache. It panics if the limits are not valid.
func New[V Value](limits Limits, decode Decode[V]) *Cache[V] {
	limits.mustBeValid()
	return &Cache[V]{decode: decode, store: newStore(limits, newHasher())}
}

// Get returns the session under key. It neither looks at the session's expiry
// nor moves it: being looked up, unlike being promoted, proves nothing.
func (c *Cache[V]) Get(key string) (V, bool) {
	return c.value(locked(c, func(s *store) image { return s.imageOf(s.find(key)) }))
}

// Has reports whether there is a session under key.
func (c *Cache[V]) Has(key string) bool {
	return locked(c, func(s *store) bool { return s.find(key) != none })
}

// Put stores v, in the given part. Room is made before v goes in, so v is never
// its own victim, however soon it expires.
//
// Another session under the same key is replaced, and v inherits its part if that
// is higher. The same session is left where it is, or promoted. A value larger than
// the whole cache, or of no size, is not stored and changes nothing.
func (c *Cache[V]) Put(v V, to Part) Change[V] {
	e := entryOf(v)
	did := locked(c, func(s *store) Change[image] { return s.put(e, to) })
	change := Change[V]{Stored: did.Stored, DidReplace: did.DidReplace, Evicted: c.values(did.Evicted)}
	change.Replaced, _ = c.value(did.Replaced)
	return change
}

// Renew lets v, the same session with another expiry, take the place of what
// is in the cache, in the same part. It reports false, and changes nothing, if
// the session is not there or v has outgrown the room that there is.
func (c *Cache[V]) Renew(v V) bool {
	e := entryOf(v)
	return locked(c, func(s *store) bool { return s.renew(e) })
}

// Promote moves v's session to a higher part and reports whether it is in the cache at
// all. It stays unproved where it finds no room: what is used makes none for what is
// only proved.
func (c *Cache[V]) Promote(v V, to Part) bool {
	key, serial := v.Key(), v.Serial()
	return locked(c, func(s *store) bool { return s.promote(s.findSession(key, serial), to) })
}

// Vouch reports true once for each session that is in the cache: a session can
// vouch for one that descends from it, and not for any number, because what the
// caller takes for its use may be a recording of it, played again.
func (c *Cache[V]) Vouch(v V) bool {
	key, serial := v.Key(), v.Serial()
	return locked(c, func(s *store) bool { return s.vouch(s.findSession(key, serial)) })
}

// Remove takes out whatever is under key.
func (c *Cache[V]) Remove(key string) (V, bool) {
	return c.value(locked(c, func(s *store) image { return s.take(s.find(key)) }))
}

// Drop takes out v's session. Another session under the same key stays.
func (c *Cache[V]) Drop(v V) bool {
	key, serial := v.Key(), v.Serial()
	return locked(c, func(s *store) bool { return s.detach(s.findSession(key, serial)) })
}

// All yields, in no particular order, the sessions that are in the cache when the
// iteration begins and still there when it comes to them.
func (c *Cache[V]) All() iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, id := range locked(c, (*store).identities) {
			v, ok := c.value(locked(c, func(s *store) image { return s.imageOf(s.identical(id)) }))
			if ok && !yield(v) {
				return
			}
		}
	}
}

// Len returns the number of sessions.
func (c *Cache[V]) Len() int { return locked(c, (*store).len) }

// Bytes returns the sum of the sessions' sizes.
func (c *Cache[V]) Bytes() int64 { return locked(c, (*store).bytes) }

// Format prints the cache's type whatever the verb, because fmt's own rendering
// would show session ids.
func (c *Cache[V]) Format(f fmt.State, _ rune) {
	io.WriteString(f, "sessioncache.Cache")
}

// locked returns what f returns of the store, under the lock.
func locked[V Value, T any](c *Cache[V], f func(*store) T) T {
	c.mu.Lock()
	defer c.mu.Unlock()
	return f(c.store)
}

func entryOf[V Value](v V) entry {
	return entry{key: v.Key(), serial: v.Serial(), expiry: v.ExpirySecond(), size: int64(v.Size()), record: v.AppendRecord(nil)}
}

// value decodes an image; false if it is none.
func (c *Cache[V]) value(i image) (v V, ok bool) {
	if i.bytes == nil {
		return v, false
	}
	return c.decode(i.serial, i.bytes[:i.keyLen:i.keyLen], i.bytes[i.keyLen:]), true
}

func (c *Cache[V]) values(images []image) []V {
	if len(images) == 0 {
		return nil
	}
	values := make([]V, len(images))
	for n, i := range images {
		values[n], _ = c.value(i)
	}
	return values
}
