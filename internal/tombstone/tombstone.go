// Package tombstone remembers removed entries, so that a copy in flight does not
// bring one back. [New] makes a [Set]. A look-up calls [Set.Mark] before it starts
// and [Set.Has] after it ends.
//
// A tombstone lasts until it is settled or the removed entry would have expired. The
// owner settles it when new look-ups can no longer find the entry. The Set keeps
// settled tombstones a while longer, for look-ups that began before they settled. If a
// look-up is so old that its tombstone may have been dropped, [Set.Has] reports true.
//
// Memory is bounded, separately for removals by operators and for removals that
// clients can cause. When the operators' limit is reached, a floor replaces an eighth
// of their tombstones: every entry of the floor's [Scope] that began at the floor or
// earlier counts as removed. When the clients' limit is reached, [Set.Full] reports
// true, and the owner stops storing entries. No floor rises then, because clients
// could force it to.
package tombstone

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Limits is how many tombstones of each kind a [Set] holds.
type Limits struct {
	Operator int // removals by operators
	Client   int // removals that clients caused
	Settled  int // settled tombstones of either kind
}

// A Scope separates the entries of several owners that share a [Set]: a floor in one
// scope does not cover entries of another. An owner with its own Set needs only the
// zero Scope.
type Scope [8]byte

// A Stone describes a removed entry, apart from its key.
type Stone struct {
	Scope    Scope
	Began    int64     // Unix milliseconds, on the scale of floors
	Until    time.Time // when the removed entry expires
	ByClient bool
	By       uint32 // identifies the remover, for HeldByAnother
}

// A Mark is a point in time, counted in changes of tombstones.
type Mark uint64

// A Set holds tombstones by key. It is safe for concurrent use.
type Set[K comparable] struct {
	limits Limits

	mu      sync.Mutex
	stones  map[K]entry
	counts  [2]int // unsettled tombstones: operators', then clients'
	last    Mark   // number of the last event
	settled []K    // a ring, once it has grown to limits.Settled
	next    int    // index of the ring's next write
	oldest  Mark   // events up to this one may have been forgotten
	floors  map[Scope]int64

	nextSweep time.Time // earliest time of the next sweep for expired tombstones
}

type entry struct {
	Stone
	event   Mark
	settled bool
}

// New returns an empty Set.
func New[K comparable](limits Limits) *Set[K] {
	return &Set[K]{limits: limits, stones: make(map[K]entry), floors: make(map[Scope]int64)}
}

// Mark returns the current point in time. Call it before a look-up.
func (s *Set[K]) Mark() Mark {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Add puts a tombstone on key, replacing any earlier one. If the operators' limit was
// reached, Add raises floors and returns them. Otherwise raised is nil.
func (s *Set[K]) Add(key K, stone Stone, now time.Time) (raised map[Scope]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(key)
	raised = s.reserve(stone.ByClient, now)
	s.last++
	s.stones[key] = entry{Stone: stone, event: s.last}
	*s.count(stone)++
	return raised
}

// Settle marks the tombstone on key as settled: look-ups that begin from now on cannot
// find the removed entry. Settle does nothing if key has no unsettled tombstone.
func (s *Set[K]) Settle(key K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.stones[key]
	if !ok || e.settled {
		return
	}
	*s.count(e.Stone)--
	s.last++
	e.settled, e.event = true, s.last
	s.stones[key] = e
	if len(s.settled) < s.limits.Settled {
		s.settled = append(s.settled, key)
		return
	}
	s.forget(s.settled[s.next])
	s.settled[s.next] = key
	s.next = (s.next + 1) % s.limits.Settled
}

// Lift removes the tombstone from key, if there is one.
func (s *Set[K]) Lift(key K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(key)
}

// Has reports whether the entry under key has, or may have, been removed, as seen by a
// look-up that began at since.
func (s *Set[K]) Has(key K, since Mark) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if since < s.oldest {
		return true
	}
	e, ok := s.stones[key]
	return ok && (!e.settled || e.event > since)
}

// Holds reports whether key has an unsettled tombstone.
func (s *Set[K]) Holds(key K) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.stones[key]
	return ok && !e.settled
}

// HeldByAnother reports whether key has an unsettled tombstone from a remover other than
// by.
func (s *Set[K]) HeldByAnother(key K, by uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.stones[key]
	return ok && !e.settled && e.By != by
}

// Remembers reports whether key has a tombstone, settled or not.
func (s *Set[K]) Remembers(key K) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.stones[key]
	return ok
}

// Below reports whether the scope's floor covers an entry that began at began.
func (s *Set[K]) Below(scope Scope, began int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	floor, ok := s.floors[scope]
	return ok && began <= floor
}

// Full reports whether the limit for removals that clients caused is reached at now.
func (s *Set[K]) Full(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts[1] < s.limits.Client {
		return false
	}
	s.dropExpired(now)
	return s.counts[1] >= s.limits.Client
}

// Len returns the number of unsettled tombstones.
func (s *Set[K]) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[0] + s.counts[1]
}

func (s *Set[K]) count(stone Stone) *int {
	if stone.ByClient {
		return &s.counts[1]
	}
	return &s.counts[0]
}

// remove drops the tombstone on key, settled or not. The key of a settled one stays in
// the ring, where forget skips it.
func (s *Set[K]) remove(key K) {
	if e, ok := s.stones[key]; ok {
		if !e.settled {
			*s.count(e.Stone)--
		}
		delete(s.stones, key)
	}
}

// forget drops the settled tombstone on key, which is leaving the ring.
func (s *Set[K]) forget(key K) {
	e, ok := s.stones[key]
	if ok && e.settled {
		s.oldest = max(s.oldest, e.event)
		delete(s.stones, key)
	}
}

// reserve ensures that one more tombstone of a kind fits. At the clients' limit, which is
// reached only if deletions keep failing, it drops an arbitrary one of the clients'
// tombstones.
func (s *Set[K]) reserve(byClient bool, now time.Time) (raised map[Scope]int64) {
	kind, limit := Stone{ByClient: byClient}, s.limits.Operator
	if byClient {
		limit = s.limits.Client
	}
	if *s.count(kind) < limit {
		return nil
	}
	s.dropExpired(now)
	switch {
	case *s.count(kind) < limit:
		return nil
	case byClient:
		s.dropOneOfClients()
		return nil
	default:
		return s.raiseFloors()
	}
}

// dropExpired drops, at most once a second, the tombstones of expired entries. A look-up
// in flight may have found such an entry before it expired, so drop advances oldest.
func (s *Set[K]) dropExpired(now time.Time) {
	if now.Before(s.nextSweep) {
		return
	}
	s.nextSweep = now.Add(time.Second)
	for key, e := range s.stones {
		if !e.settled && now.After(e.Until) {
			s.drop(key, e)
		}
	}
}

func (s *Set[K]) dropOneOfClients() {
	for key, e := range s.stones {
		if !e.settled && e.ByClient {
			s.drop(key, e)
			return
		}
	}
}

func (s *Set[K]) drop(key K, e entry) {
	s.last++
	s.oldest = s.last
	*s.count(e.Stone)--
	delete(s.stones, key)
}

// raiseFloors replaces the eighth of the operators' tombstones that began first with
// floors.
func (s *Set[K]) raiseFloors() (raised map[Scope]int64) {
	var began []int64
	for _, e := range s.stones {
		if !e.settled && !e.ByClient {
			began = append(began, e.Began)
		}
	}
	slices.Sort(began)
	last := began[max(len(began)/8, 1)-1]
	raised = make(map[Scope]int64)
	for key, e := range s.stones {
		if !e.settled && !e.ByClient && e.Began <= last {
			raised[e.Scope] = max(raised[e.Scope], s.floors[e.Scope], e.Began)
			s.drop(key, e)
		}
	}
	maps.Copy(s.floors, raised)
	return raised
}
