// Package sessioncache is the data structure of the internal session cache: a
// map from session id to session, bounded exactly by count and by accounted
// bytes, in which what must make room is always the session nearest to its
// expiry.
//
// The cache has two parts. A session is unproved until a peer has shown that
// it holds it, which is when the caller promotes it. Only unproved sessions
// make room for a new one, as long as there are any, so that handshakes which
// are begun and abandoned cannot push out the sessions that are in use. The
// proved part holds at most four fifths of the cache, so that a new session
// can always find room.
//
// The way through the code: Put in cache.go, then makeRoom, promote and demote
// in limits.go, then the queue of one part in part.go.
package sessioncache

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
)

// Value is a session as the cache sees it. It must not change once it is in a
// cache. The cache does not rely on that: it reads each method once a call and
// keeps its own copy of the answers, because an entry that can no longer be
// found under its own key can never be removed (OpenSSL's CVE-2024-2511).
type Value interface {
	// Key is the session id's bytes.
	Key() string
	// Serial is the session's identity: two values with one serial are the
	// same session.
	Serial() uint64
	// ExpirySecond is the last Unix second in which the session is valid.
	ExpirySecond() int64
	// Size is what the session counts against Limits.Bytes: more than 0, and
	// Overhead included.
	Size() int
}

// Cache holds sessions. It is safe for concurrent use. It calls nothing but
// the methods of Value, and those outside its lock. What leaves the cache is
// handed to the caller and is no longer reachable from here, since it holds
// key material.
//
// The cache has no clock: a session past its expiry is found, and takes up
// room, until Expire or something else removes it.
type Cache[V Value] struct {
	mu sync.Mutex

	// Guarded by mu.
	limits   Limits
	entries  map[string]*entry[V]
	unproved *part[V]
	proved   *part[V]
	inserted uint64 // how many sessions have been put in; numbers the entries
	free     []*entry[V]
}

// Change is what a Put did. The caller runs whatever callbacks it calls for.
type Change[V Value] struct {
	Stored     bool // the value is in now and was not before
	Replaced   V    // what was under the same key, if DidReplace
	DidReplace bool
	Evicted    []V // what made room, in the order in which it was chosen
}

// New returns an empty cache. It panics if the limits are not valid.
func New[V Value](limits Limits) *Cache[V] {
	limits.mustBeValid()
	c := &Cache[V]{limits: limits}
	c.reset()
	return c
}

// Get returns the session under key. It neither looks at the session's expiry
// nor moves it: being looked up, unlike being promoted, proves nothing.
func (c *Cache[V]) Get(key string) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[key]; ok {
		return e.value, true
	}
	var none V
	return none, false
}

// Put stores v, as a proved session if proved says so. Room is made before v
// goes in, so v is never its own victim, however soon it expires.
//
// Another session under the same key is replaced, and v inherits its part. The
// same session is left where it is, and promoted if proved says so. A value
// larger than the whole cache, or of no size, is not stored and changes nothing.
func (c *Cache[V]) Put(v V, proved bool) Change[V] {
	e := newEntry(v)
	c.mu.Lock()
	defer c.mu.Unlock()

	old, found := c.entries[e.key]
	if found && old.serial == e.serial {
		if proved {
			c.promote(old)
		}
		return Change[V]{}
	}
	if e.size <= 0 || e.size > c.limits.Bytes {
		return Change[V]{}
	}
	change := Change[V]{Stored: true}
	if found {
		proved = proved || old.part == c.proved
		change.Replaced, change.DidReplace = c.detach(old), true
	}
	change.Evicted = c.makeRoom(e.size)
	c.inserted++
	e.number = c.inserted
	c.attach(e, proved)
	return change
}

// Renew lets v, the same session with another expiry, take the place of what
// is in the cache, in the same part. It reports false, and changes nothing, if
// the session is not there or v has outgrown the room that there is.
func (c *Cache[V]) Renew(v V) bool {
	e := newEntry(v)
	c.mu.Lock()
	defer c.mu.Unlock()

	old := c.find(e.key, e.serial)
	if old == nil || e.size <= 0 || c.bytes()-old.size > c.limits.Bytes-e.size {
		return false
	}
	proved := old.part == c.proved
	e.number, e.vouched = old.number, old.vouched
	c.detach(old)
	c.attach(e, proved)
	return true
}

// Promote moves v's session to the proved part and reports whether it is in
// the cache at all. It stays unproved if the proved part could not hold it even
// alone.
func (c *Cache[V]) Promote(v V) bool {
	key, serial := v.Key(), v.Serial()
	c.mu.Lock()
	defer c.mu.Unlock()

	e := c.find(key, serial)
	if e == nil {
		return false
	}
	c.promote(e)
	return true
}

// Vouch reports true once for each session that is in the cache: a session can
// vouch for one that descends from it, and not for any number, because what the
// caller takes for its use may be a recording of it, played again.
func (c *Cache[V]) Vouch(v V) bool {
	key, serial := v.Key(), v.Serial()
	c.mu.Lock()
	defer c.mu.Unlock()

	e := c.find(key, serial)
	if e == nil || e.vouched {
		return false
	}
	e.vouched = true
	return true
}

// Remove takes out whatever is under key.
func (c *Cache[V]) Remove(key string) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()

	e, ok := c.entries[key]
	if !ok {
		var none V
		return none, false
	}
	return c.detach(e), true
}

// Drop takes out v's session. Another session under the same key stays.
func (c *Cache[V]) Drop(v V) bool {
	key, serial := v.Key(), v.Serial()
	c.mu.Lock()
	defer c.mu.Unlock()

	e := c.find(key, serial)
	if e == nil {
		return false
	}
	c.detach(e)
	return true
}

// Values returns what is in the cache now, in no particular order.
func (c *Cache[V]) Values() []V {
	c.mu.Lock()
	defer c.mu.Unlock()

	values := make([]V, 0, len(c.entries))
	for _, e := range c.entries {
		values = append(values, e.value)
	}
	return values
}

// Clear takes everything out and returns it in the order of Expire.
func (c *Cache[V]) Clear() []V {
	c.mu.Lock()
	entries := c.entries
	c.reset()
	c.mu.Unlock()

	return valuesByExpiry(slices.Collect(maps.Values(entries)))
}

// Len returns the number of sessions.
func (c *Cache[V]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries)
}

// Bytes returns the sum of the sessions' sizes.
func (c *Cache[V]) Bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes()
}

// Format prints the cache's type whatever the verb, because fmt's own rendering
// would show session ids.
func (c *Cache[V]) Format(f fmt.State, _ rune) {
	io.WriteString(f, "sessioncache.Cache")
}

// The methods below, and all that is unexported in limits.go, need mu.

// reset forgets everything by starting anew: a Go map never shrinks.
func (c *Cache[V]) reset() {
	c.entries = make(map[string]*entry[V])
	c.unproved = newPart[V]()
	c.proved = newPart[V]()
	c.free = nil
}

func (c *Cache[V]) bytes() int64 {
	return c.unproved.bytes + c.proved.bytes
}

// find returns the entry of one session, nil if there is none.
func (c *Cache[V]) find(key string, serial uint64) *entry[V] {
	if e := c.entries[key]; e != nil && e.serial == serial {
		return e
	}
	return nil
}

// attach puts in an entry for which there is room.
func (c *Cache[V]) attach(content entry[V], proved bool) {
	e := c.blank()
	*e = content
	c.entries[e.key] = e
	c.unproved.add(e)
	if proved {
		c.promote(e)
	}
}

// detach takes an entry out and returns what it held.
func (c *Cache[V]) detach(e *entry[V]) V {
	v := e.value
	delete(c.entries, e.key)
	e.part.remove(e)
	*e = entry[V]{}
	c.free = append(c.free, e)
	return v
}

// blockSize is how many entries are allocated at a time.
const blockSize = 64

// blank returns an entry to fill. Entries come in blocks and are used again, so
// that the garbage collector has one object for many of them: what it marks is
// most of what a cached session costs a server.
func (c *Cache[V]) blank() *entry[V] {
	if len(c.free) == 0 {
		block := make([]entry[V], blockSize)
		for i := range block {
			c.free = append(c.free, &block[i])
		}
	}
	last := len(c.free) - 1
	e := c.free[last]
	c.free[last] = nil
	c.free = c.free[:last]
	return e
}
