package storetest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/halfshake/halfshake/external"
	"github.com/halfshake/halfshake/external/memstore"
)

// A bounded is a sound store that bounds itself, of which each part can be replaced
// by a broken one.
type bounded struct {
	*naive
	most     int                 // how many entries it holds
	share    int                 // and how many of them are proved
	before   func(a, b held) int // the first is evicted
	classify func(old held, class external.Class) external.Class
	full     error // returned where an entry had to be evicted

	evicting sync.Mutex
	held     map[external.Key]held
	puts     int
}

// A held is an entry without its value.
type held struct {
	key     external.Key
	class   external.Class
	expires time.Time
	number  int // of its Put
}

func newBounded() *bounded {
	return &bounded{
		naive: newNaive(),
		most:  300,
		share: 240,
		before: func(a, b held) int {
			return cmp.Or(cmp.Compare(a.class, b.class), a.expires.Compare(b.expires))
		},
		classify: func(_ held, class external.Class) external.Class { return class },
		held:     make(map[external.Key]held),
	}
}

func (s *bounded) Put(ctx context.Context, key external.Key, value []byte, expires time.Time, class external.Class) error {
	s.evicting.Lock()
	defer s.evicting.Unlock()
	old, there := s.held[key]
	if !there && len(s.held) == s.most {
		if s.full != nil {
			return s.full
		}
		s.evict(ctx)
	}
	if !there {
		old.class = class
	}
	s.puts++
	s.held[key] = held{key, s.classify(old, class), expires, s.puts}
	return s.naive.Put(ctx, key, value, expires, class)
}

// evict sends back the proved entries beyond their share, and evicts one.
func (s *bounded) evict(ctx context.Context) {
	all := slices.SortedFunc(maps.Values(s.held), s.before)
	firstProved := slices.IndexFunc(all, func(e held) bool { return e.class == external.ClassProved })
	for i := firstProved; i >= 0 && len(all)-i > s.share; i++ {
		all[i].class = external.ClassUnproved
		s.held[all[i].key] = all[i]
	}
	victim := slices.MinFunc(all, s.before)
	delete(s.held, victim.key)
	s.naive.Delete(ctx, victim.key)
}

var brokenBounds = []struct {
	name   string
	checks string
	breaks func(*bounded)
}{
	{"no bound", "Bound NearestFirst ClassReplaced", func(s *bounded) { s.most = 1 << 30 }},
	{"half the bound", "Bound Flood", func(s *bounded) { s.most /= 2 }},
	{"classes are ignored", "Flood ClassReplaced", func(s *bounded) {
		s.before = func(a, b held) int { return a.expires.Compare(b.expires) }
	}},
	{"proved first", "Flood ClassReplaced", func(s *bounded) {
		s.before = func(a, b held) int {
			return cmp.Or(cmp.Compare(b.class, a.class), a.expires.Compare(b.expires))
		}
	}},
	{"the oldest first", "NearestFirst ProvedShare", func(s *bounded) {
		s.before = func(a, b held) int {
			return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.number, b.number))
		}
	}},
	{"the newest first", "Flood", func(s *bounded) {
		s.before = func(a, b held) int {
			return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(b.number, a.number))
		}
	}},
	{"the last to expire first", "NearestFirst ProvedShare", func(s *bounded) {
		s.before = func(a, b held) int {
			return cmp.Or(cmp.Compare(a.class, b.class), b.expires.Compare(a.expires))
		}
	}},
	{"no share", "ProvedShare", func(s *bounded) { s.share = s.most }},
	{"half the share", "Flood", func(s *bounded) { s.share /= 2 }},
	{"the first class stays", "ClassReplaced", func(s *bounded) {
		s.classify = func(old held, _ external.Class) external.Class { return old.class }
	}},
	{"the higher class stays", "ClassReplaced", func(s *bounded) {
		s.classify = func(old held, class external.Class) external.Class { return max(old.class, class) }
	}},
	{"a full store is an error", "Bound Flood", func(s *bounded) { s.full = ErrInjected }},
}

// boundedCapacity is a little less than what a bounded holds.
const boundedCapacity = 280

func TestBoundedIsSound(t *testing.T) {
	t.Parallel()
	RunBounded(t, boundedCapacity, func(testing.TB) external.Store { return newBounded() })
}

func TestBrokenBounds(t *testing.T) {
	for _, broken := range brokenBounds {
		for _, check := range named(t, boundChecks, broken.checks) {
			t.Run(broken.name+"/"+check.name, func(t *testing.T) {
				t.Parallel()
				s := newBounded()
				broken.breaks(s)
				wantFailure(t, func(t tester) { check.run(&boundProbe{&probe{t, s}, boundedCapacity}) })
			})
		}
	}
}

// TestFaultyKeepsTheClass holds that a Faulty hands the class on.
func TestFaultyKeepsTheClass(t *testing.T) {
	t.Parallel()
	RunBounded(t, 100, func(testing.TB) external.Store {
		return NewFaulty(memstore.New(memstore.Config{MaxEntries: 150}))
	})
}
