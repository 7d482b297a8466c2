package external

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/halfshake/halfshake"
)

// A client looks for sessions by what it connects to, not by an id. So for each scope of
// client sessions the store has a list of the newest ids. It is sealed like a session,
// under a key made from the scope, and looks like a small one in the store.
//
//	struct {
//	    uint32 format = 0x484c0001;  /* "HL", version 1 */
//	    Listed listed<0..2^8-1>;     /* the newest first */
//	} List;
//
//	struct {
//	    opaque id[32];
//	    uint64 expires;              /* Unix seconds */
//	} Listed;
//
// A list may name a session that is gone, and two processes that write one at the same
// time may lose an id. Either costs a full handshake at most. Who puts back an earlier list
// brings back no session: each is an entry of its own.
type list []listed

type listed struct {
	id      [idSize]byte
	expires int64
}

const (
	listFormat = 0x484c0001
	// maxListed is how many sessions a client keeps for one server.
	maxListed = 4
	// listLocks is how many lists one process may change at the same time.
	listLocks = 16
)

func (l list) encode() []byte {
	b := binary.BigEndian.AppendUint32(nil, listFormat)
	b = append(b, byte(len(l)*(idSize+8)))
	for _, e := range l {
		b = binary.BigEndian.AppendUint64(append(b, e.id[:]...), uint64(e.expires))
	}
	return b
}

// parseList reads the encoding of a list. What it accepts encodes to the same bytes again.
func parseList(data []byte) (l list, ok bool) {
	var format uint32
	var entries cryptobyte.String
	s := cryptobyte.String(data)
	if !s.ReadUint32(&format) || format != listFormat || !s.ReadUint8LengthPrefixed(&entries) || !s.Empty() {
		return nil, false
	}
	for !entries.Empty() {
		var e listed
		var expires uint64
		if !entries.CopyBytes(e.id[:]) || !entries.ReadUint64(&expires) || expires > maxSecond || len(l) == maxListed {
			return nil, false
		}
		e.expires = int64(expires)
		l = append(l, e)
	}
	return l, true
}

// with returns the list with an id before the others, and those for which it has no room
// any more. Expired ones are left out.
func (l list) with(e listed, now time.Time) (next, displaced list) {
	next = list{e}
	for _, other := range l {
		switch {
		case other.id == e.id || other.expires < now.Unix():
		case len(next) == maxListed:
			displaced = append(displaced, other)
		default:
			next = append(next, other)
		}
	}
	return next, displaced
}

// expires returns when the last session of the list has expired.
func (l list) expires() time.Time {
	last := slices.MaxFunc(l, func(x, y listed) int { return int(x.expires - y.expires) })
	return time.Unix(last.expires, 0)
}

// listName returns the store's key of the list of a scope.
func (k *fleetKey) listName(scope [32]byte) Key {
	return Key(k.storeKey.mac(append([]byte("client sessions"), scope[:]...))) // longer than an id
}

// find is the Find callback. Like get, it never returns an error. After a rotation of the
// keys the sessions of the key before are found too.
func (e *External) find(ctx context.Context, info halfshake.ConnInfo, scope [32]byte) (found []*halfshake.Session, _ error) {
	if e.closed.Load() {
		return nil, nil
	}
	for _, k := range e.keys.Load().latest(time.Now()) {
		for _, listed := range e.list(ctx, k, k.listName(scope)) {
			if s, _ := e.get(ctx, info, listed.id[:]); s != nil && s.Client() && s.Scope() == scope {
				found = append(found, s)
			}
		}
	}
	return found[:min(len(found), maxListed)], nil
}

// list returns the list under key, which is empty if the store has none that opens.
func (e *External) list(ctx context.Context, k *fleetKey, key Key) list {
	value := e.lookUp(ctx, key)
	if value == nil {
		return nil
	}
	data, err := k.open(key, value)
	if err == nil {
		if l, ok := parseList(data); ok {
			return l
		}
	}
	e.counters.unreadable.Add(1)
	return nil
}

// enlist puts a client's session that has been put, and was made under k, into the list of
// its scope. The entry of a session that leaves the list is deleted, because nobody finds it.
func (e *External) enlist(ctx context.Context, k *fleetKey, s *halfshake.Session) {
	key := k.listName(s.Scope())
	lock := &e.listing[key[0]%listLocks]
	lock.Lock()
	defer lock.Unlock()
	l, displaced := e.list(ctx, k, key).with(listed{[idSize]byte(s.ID()), s.Expires().Unix()}, time.Now())
	value, err := k.seal(key, l.encode())
	if err != nil {
		panic("halfshake: internal error: " + err.Error()) // lists are short
	}
	op := newPut(key, value, s, e.proved)
	op.expires = l.expires()
	e.writes.put(op)
	for _, gone := range displaced {
		e.writes.delete(k.name(gone.id[:]), cleanup, time.Unix(gone.expires, 0))
	}
}
