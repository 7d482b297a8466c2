package storetest

import (
	"testing"
	"time"

	"github.com/halfshake/halfshake/external"
)

// RunBounded checks that a store which bounds itself evicts as [external.Class] says.
// Each check is a subtest, and calls open for an empty store of its own. The store must
// hold at least capacity entries with values of 1,000 bytes, and at most twice as many;
// capacity is 100 or more.
//
// Each check puts at least four times capacity entries. A store that does not bound
// itself, and so ignores the class, has no use for RunBounded.
func RunBounded(t *testing.T, capacity int, open func(t testing.TB) external.Store) {
	for _, check := range boundChecks {
		t.Run(check.name, func(t *testing.T) {
			check.run(&boundProbe{&probe{t, open(t)}, capacity})
		})
	}
}

var boundChecks = []check[*boundProbe]{
	{"Bound", checkBound},
	{"Flood", checkFlood},
	{"NearestFirst", checkNearestFirst},
	{"ProvedShare", checkProvedShare},
	{"ClassReplaced", checkClassReplaced},
}

// A boundProbe is a bounded store in the hands of a check.
type boundProbe struct {
	*probe
	capacity int
}

// fill puts n new entries of class that expire after life, and returns their keys.
func (p *boundProbe) fill(n int, life time.Duration, class external.Class) []external.Key {
	p.Helper()
	keys := make([]external.Key, n)
	for i := range keys {
		keys[i] = newKey()
	}
	p.refill(keys, life, class)
	return keys
}

// refill puts an entry under each of the keys. Each expires a little after the one
// before, as those of a server do.
func (p *boundProbe) refill(keys []external.Key, life time.Duration, class external.Class) {
	p.Helper()
	expires, value := time.Now().Add(life), newValue(1000)
	p.spread(len(keys), func(p *probe, i int) {
		p.putAs(keys[i], value, expires.Add(time.Duration(i)*time.Microsecond), class)
	})
}

// flood puts unproved entries for at least twice what the store holds.
func (p *boundProbe) flood(life time.Duration) []external.Key {
	p.Helper()
	return p.fill(4*p.capacity, life, external.ClassUnproved)
}

func (p *boundProbe) found(keys []external.Key) (n int) {
	p.Helper()
	for _, key := range keys {
		if p.get(key) != nil {
			n++
		}
	}
	return n
}

// wantAll requires that no entry under the keys was evicted.
func (p *boundProbe) wantAll(keys []external.Key, what string) {
	p.Helper()
	if n := p.found(keys); n < len(keys) {
		fatalf(p, "%d of %d %s were evicted", len(keys)-n, len(keys), what)
	}
}

// wantNone requires that all entries under the keys were evicted.
func (p *boundProbe) wantNone(keys []external.Key, what string) {
	p.Helper()
	if n := p.found(keys); n > 0 {
		fatalf(p, "%d of %d %s were kept", n, len(keys), what)
	}
}

func checkBound(p *boundProbe) {
	n := p.found(p.flood(time.Hour))
	if n < p.capacity || n > 2*p.capacity {
		fatalf(p, "the store holds %d of %d entries, want %d to %d", n, 4*p.capacity, p.capacity, 2*p.capacity)
	}
}

// checkFlood puts proved entries, and then a flood of unproved ones that expire later.
func checkFlood(p *boundProbe) {
	proved := p.fill(p.capacity*3/4, time.Hour, external.ClassProved)
	p.flood(2 * time.Hour)
	p.wantAll(proved, "proved entries")
	p.wantAll(p.fill(10, 2*time.Hour, external.ClassUnproved), "unproved entries that were put last")
}

// checkNearestFirst puts entries that expire before a flood, and others that expire after
// it.
func checkNearestFirst(p *boundProbe) {
	soon := p.fill(p.capacity/4, time.Hour, external.ClassUnproved)
	late := p.fill(p.capacity/4, 3*time.Hour, external.ClassUnproved)
	p.flood(2 * time.Hour)
	p.wantNone(soon, "entries nearest to their expiry")
	p.wantAll(late, "entries that expire last")
}

// checkProvedShare puts a few unproved entries, and then a flood of proved ones that
// expire earlier.
func checkProvedShare(p *boundProbe) {
	unproved := p.fill(p.capacity/10, 2*time.Hour, external.ClassUnproved)
	proved := p.fill(4*p.capacity, time.Hour, external.ClassProved)
	p.wantAll(unproved, "unproved entries that leave the proved ones their share")
	if n := p.found(proved); n < p.capacity*3/4 {
		fatalf(p, "the store holds %d proved entries, want at least %d", n, p.capacity*3/4)
	}
}

// checkClassReplaced puts entries of each class, and then puts them again in the other.
func checkClassReplaced(p *boundProbe) {
	raised := p.fill(p.capacity/4, time.Hour, external.ClassUnproved)
	lowered := p.fill(p.capacity/4, time.Hour, external.ClassProved)
	p.refill(raised, time.Hour, external.ClassProved)
	p.refill(lowered, time.Hour, external.ClassUnproved)
	p.flood(2 * time.Hour)
	p.wantAll(raised, "entries that were put again as proved")
	p.wantNone(lowered, "entries that were put again as unproved")
}
