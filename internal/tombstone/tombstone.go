// Package tombstone remembers what was removed, so that a copy which is still on
// its way somewhere does not bring it back. [New] makes a [Set]; [Set.Mark] and
// [Set.Has] are what a look-up calls before and after it.
//
// A tombstone lasts until it is settled, which is when nobody can find the removed
// thing any more, or until the thing would have expired. Settled tombstones stay a
// while longer, for look-ups that began before they settled: a look-up that is older
// than the oldest tombstone kept finds nothing.
//
// Room is bounded, apart for what operators remove and for what clients can cause
// to be removed. When the first is full, a floor takes the place of an eighth of it:
// everything of its [Scope] that began at the floor or earlier counts as removed.
// When the second is full, [Set.Full] reports so, and the owner stores nothing new;
// no floor rises, because clients could make it.
package tombstone

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Room is how many tombstones a [Set] holds of each kind.
type Room struct {
	Operator int // of what operators removed
	Client   int // of what clients caused to be removed
	Settled  int // that have settled
}

// A Scope separates what one [Set] holds for several owners: a floor that rises in
// one scope names nothing in another. An owner of its own Set needs only the zero
// Scope.
type Scope [8]byte

// A Stone is what a tombstone says beside the key.
type Stone struct {
	Scope    Scope
	Began    int64     // Unix milliseconds, on the scale of floors
	Until    time.Time // when what was removed has expired
	ByClient bool
}

// A Mark is a point in time, in the count of tombstones.
type Mark uint64

// A Set holds tombstones by key. It is safe for concurrent use.
type Set[K comparable] struct {
	room Room

	mu      sync.Mutex
	stones  map[K]entry
	counts  [2]int // of operators' and clients' unsettled stones
	last    Mark   // the number of the last event
	settled []K    // a ring, once it has grown to room.Settled
	next    int    // where the ring is written next
	oldest  Mark   // events up to this one may have been forgotten
	floors  map[Scope]int64

	nextSweep time.Time // of what has expired
}

type entry struct {
	Stone
	event   Mark
	settled bool
}

// New returns an empty Set.
func New[K comparable](room Room) *Set[K] {
	return &Set[K]{room: room, stones: make(map[K]entry), floors: make(map[Scope]int64)}
}

// Mark returns the present, for a look-up that is about to begin.
func (s *Set[K]) Mark() Mark {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Add puts a tombstone on key, and replaces one that exists. It returns the floors that it
// had to raise to make room, or nil.
func (s *Set[K]) Add(key K, stone Stone, now time.Time) (raised map[Scope]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(key)
	raised = s.makeRoom(stone.ByClient, now)
	s.last++
	s.stones[key] = entry{Stone: stone, event: s.last}
	*s.count(stone)++
	return raised
}

// Settle records that no look-up that begins from now on can find key.
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
	if len(s.settled) < s.room.Settled {
		s.settled = append(s.settled, key)
		return
	}
	s.forget(s.settled[s.next])
	s.settled[s.next] = key
	s.next = (s.next + 1) % s.room.Settled
}

// Lift takes the tombstone off key.
func (s *Set[K]) Lift(key K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(key)
}

// Has reports whether the thing that a look-up found under key has been removed, or may
// have been. since is the mark at which the look-up began.
func (s *Set[K]) Has(key K, since Mark) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if since < s.oldest {
		return true
	}
	e, ok := s.stones[key]
	return ok && (!e.settled || e.event > since)
}

// Holds reports whether there is a tombstone on key that has not settled.
func (s *Set[K]) Holds(key K) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.stones[key]
	return ok && !e.settled
}

// Remembers reports whether there is a tombstone on key, settled or not.
func (s *Set[K]) Remembers(key K) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.stones[key]
	return ok
}

// Stale reports whether tombstones that came after the mark may have been forgotten.
func (s *Set[K]) Stale(since Mark) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return since < s.oldest
}

// Floor returns the highest floor of any scope, 0 if there is none.
func (s *Set[K]) Floor() (highest int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, floor := range s.floors {
		highest = max(highest, floor)
	}
	return highest
}

// Below reports whether the floor of the scope is at or above the given beginning.
func (s *Set[K]) Below(scope Scope, began int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	floor, ok := s.floors[scope]
	return ok && began <= floor
}

// Full reports whether the room for what clients cause is full at now.
func (s *Set[K]) Full(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts[1] < s.room.Client {
		return false
	}
	s.dropExpired(now)
	return s.counts[1] >= s.room.Client
}

// Len returns how many tombstones have not settled.
func (s *Set[K]) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[0] + s.counts[1]
}

// All returns the keys that have not settled, with what is said of each.
func (s *Set[K]) All() map[K]Stone {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[K]Stone)
	for key, e := range s.stones {
		if !e.settled {
			all[key] = e.Stone
		}
	}
	return all
}

func (s *Set[K]) count(stone Stone) *int {
	if stone.ByClient {
		return &s.counts[1]
	}
	return &s.counts[0]
}

// remove drops a tombstone of either kind. A settled one leaves its key in the ring,
// where forget passes over it.
func (s *Set[K]) remove(key K) {
	if e, ok := s.stones[key]; ok {
		if !e.settled {
			*s.count(e.Stone)--
		}
		delete(s.stones, key)
	}
}

// forget drops the settled tombstone that the ring gives up.
func (s *Set[K]) forget(key K) {
	e, ok := s.stones[key]
	if ok && e.settled {
		s.oldest = max(s.oldest, e.event)
		delete(s.stones, key)
	}
}

// makeRoom makes room for one more of a kind. Beyond the clients' room, which takes
// deletions that fail for long, any of theirs goes.
func (s *Set[K]) makeRoom(byClient bool, now time.Time) (raised map[Scope]int64) {
	kind, room := Stone{ByClient: byClient}, s.room.Operator
	if byClient {
		room = s.room.Client
	}
	if *s.count(kind) < room {
		return nil
	}
	s.dropExpired(now)
	switch {
	case *s.count(kind) < room:
		return nil
	case byClient:
		s.dropOneOfClients()
		return nil
	default:
		return s.raiseFloors()
	}
}

// dropExpired drops, at most once a second, the tombstones of what has expired. A
// look-up in flight may have found it before.
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

// raiseFloors replaces the oldest eighth of the operators' tombstones with floors.
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
