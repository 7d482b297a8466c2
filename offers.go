package halfshake

import (
	"context"
	"slices"
	"strings"
	"sync"
)

// maxOffers is how many sessions a client keeps for one server. OpenSSL's servers send
// two tickets for a connection, so this is enough for two connections at a time.
const maxOffers = 4

// offers are the sessions in the internal cache that a client may offer: their ids by
// scope, the newest first. An id may be of a session that has left the cache; such ids
// are dropped when they are met, or when there are more of them than of the others. So
// the memory is bounded by the number of sessions in the cache.
type offers struct {
	mu  *sync.Mutex
	ids map[[32]byte][]string
}

// offersSlack is how many scopes there may be beyond twice the sessions in the cache.
const offersSlack = 64

func newOffers() offers { return offers{new(sync.Mutex), make(map[[32]byte][]string)} }

// of returns the ids of a scope, the newest first.
func (o *offers) of(scope [32]byte) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.ids[scope])
}

// add puts an id before the others of its scope, and returns those for which there is no
// room any more.
func (o *offers) add(scope [32]byte, id string) (displaced []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	ids := slices.DeleteFunc(o.ids[scope], func(other string) bool { return other == id })
	ids = slices.Insert(ids, 0, strings.Clone(id)) // the session's own shares memory with its secret
	if len(ids) > maxOffers {
		ids, displaced = ids[:maxOffers], slices.Clone(ids[maxOffers:])
	}
	o.ids[scope] = ids
	return displaced
}

// drop forgets an id.
func (o *offers) drop(scope [32]byte, id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keep(scope, func(other string) bool { return other != id })
}

// prune forgets the ids that are not wanted, if there are more than most scopes.
func (o *offers) prune(most int, wanted func(id string) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.ids) <= most {
		return
	}
	for scope := range o.ids {
		o.keep(scope, wanted)
	}
}

// keep is for callers that hold the lock.
func (o *offers) keep(scope [32]byte, wanted func(id string) bool) {
	ids := slices.DeleteFunc(o.ids[scope], func(id string) bool { return !wanted(id) })
	if len(ids) == 0 {
		delete(o.ids, scope)
	} else {
		o.ids[scope] = ids
	}
}

func (o *offers) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.ids)
}

// addOffer notes a client's session that has been put into the internal cache. The
// sessions for which the server's place has no room any more leave the cache.
func (c *Cache) addOffer(ctx context.Context, s *Session) {
	for _, id := range c.offers.add(s.scope, s.id) {
		if e, ok := c.internal.Remove(id); ok {
			c.evicted(ctx, []sessionEntry{e})
		}
	}
	c.offers.prune(2*c.internal.Len()+offersSlack, c.internal.Has)
}
