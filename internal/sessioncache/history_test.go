package sessioncache

import (
	"fmt"
	"math"
	"math/rand"
	"slices"
	"testing"
	"time"
)

// history runs the operations that a string of bytes spells on a cache and on
// the model, and compares them after each. Keys, seconds and sizes come from
// small ranges so that they collide.
type history struct {
	t     testing.TB
	input []byte
	cache checked
	model *model
	made  []session // every session so far, to be offered again
}

func runHistory(t testing.TB, input []byte) {
	h := &history{t: t, input: input}
	limits := h.limits()
	h.cache = checked{New(limits, decode), t}
	// A good hash, one that collides often, or one that always does.
	h.cache.store.hasher.mask = [...]uint32{math.MaxUint32, 3, 0}[h.next(3)]
	h.model = &model{limits: limits}
	for len(h.input) > 0 {
		h.step()
		h.compare()
	}
}

func (h *history) next(n int) int {
	if len(h.input) == 0 {
		return 0
	}
	b := h.input[0]
	h.input = h.input[1:]
	return int(b) % n
}

func (h *history) limits() Limits {
	return Limits{Count: h.next(14), Bytes: 1 + int64(h.next(64))}
}

// pad makes records of one cell, of as many bytes as fit, and of many cells.
func (h *history) pad() int {
	switch n := h.next(16); n {
	case 0:
		return cellRoom*20 + n
	case 1, 2, 3:
		return cellRoom*(n-1) - len("key1") - 16 + h.next(3) - 1 + cellRoom
	default:
		return n
	}
}

func (h *history) fresh() session {
	serial := uint64(len(h.made) + 1)
	return h.make(fmt.Sprintf("key%d", h.next(20)), serial)
}

func (h *history) make(key string, serial uint64) session {
	s := session{key: key, serial: serial, expiry: int64(h.next(8)), size: h.next(13) - 1, pad: h.pad()}
	h.made = append(h.made, s)
	return s
}

// known picks a session made before: in the cache, replaced, or long gone.
func (h *history) known() session {
	if len(h.made) == 0 {
		return h.fresh()
	}
	return h.made[len(h.made)-1-h.next(min(len(h.made), 30))]
}

func (h *history) step() {
	switch op := h.next(24); op {
	case 0, 1, 2, 3, 4, 5:
		h.put(h.fresh(), Unproved)
	case 6:
		h.put(h.fresh(), Proved)
	case 7, 8:
		h.put(h.fresh(), Used)
	case 9, 10:
		h.put(h.known(), Part(h.next(parts)))
	case 11, 12, 13:
		was := h.known()
		s := h.make(was.key, was.serial)
		same(h.t, "Renew", h.cache.Renew(s), h.model.Renew(s))
	case 14, 15, 16, 17:
		s, to := h.known(), Part(h.next(parts))
		same(h.t, "Promote", h.cache.Promote(s, to), h.model.Promote(s, to))
	case 18:
		key := h.known().key
		got, ok := h.cache.Remove(key)
		want, wantOK := h.model.Remove(key)
		same(h.t, "Remove", got, want)
		same(h.t, "Remove", ok, wantOK)
	case 19, 20:
		s := h.known()
		same(h.t, "Drop", h.cache.Drop(s), h.model.Drop(s))
	case 21:
		now := time.Unix(int64(h.next(9)), int64(h.next(2)))
		sameSlice(h.t, "Expire", h.cache.expire(now), h.model.Expire(now))
	case 22:
		limits := h.limits()
		sameSlice(h.t, "SetLimits", h.cache.SetLimits(limits), h.model.SetLimits(limits))
	case 23:
		if h.next(4) == 0 { // seldom: an empty cache has little to show
			sameSlice(h.t, "Clear", h.cache.clear(), h.model.Clear())
		}
	}
}

func (h *history) put(s session, to Part) {
	got, want := h.cache.Put(s, to), h.model.Put(s, to)
	same(h.t, "Put: stored", got.Stored, want.Stored)
	same(h.t, "Put: did replace", got.DidReplace, want.DidReplace)
	same(h.t, "Put: replaced", got.Replaced, want.Replaced)
	sameSlice(h.t, "Put: evicted", got.Evicted, want.Evicted)
}

func (h *history) compare() {
	h.cache.check(h.t)
	for p := range Part(parts) {
		sameSlice(h.t, fmt.Sprint("part ", p), h.cache.order(p), h.model.order(p))
	}
	same(h.t, "Len", h.cache.Len(), len(h.model.rows))
	same(h.t, "Bytes", h.cache.Bytes(), size(sessions(h.model.rows)))
	same(h.t, "Limits", h.cache.Limits(), h.model.limits)
	values := slices.Collect(h.cache.All())
	same(h.t, "All", len(values), len(h.model.rows))
	for _, s := range values {
		same(h.t, "All", h.model.index(s) >= 0, true)
		got, _ := h.cache.Get(s.key)
		same(h.t, "Get", got, s)
	}
}

// order lists a part's values as they would be given up.
func (c *Cache[V]) order(part Part) []V {
	p := &c.store.parts[part]
	var places []place
	for i := range p.places.n {
		places = append(places, *p.places.at(i))
	}
	slices.SortFunc(places, func(a, b place) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	var values []V
	for _, place := range places {
		v, _ := c.value(c.store.imageOf(place.slot))
		values = append(values, v)
	}
	return values
}

func TestRandomHistories(t *testing.T) {
	seeds := []int64{1, 2, 3, 4, 5, 6, 7, 8}
	for range 8 {
		seeds = append(seeds, rand.Int63())
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			r := rand.New(rand.NewSource(seed))
			for range 10 {
				input := make([]byte, 1000)
				r.Read(input)
				runHistory(t, input)
			}
		})
	}
}

func FuzzHistory(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{4, 63, 0, 1, 2, 3, 0, 2, 1, 3, 14, 0, 22, 2, 20})
	input := make([]byte, 300)
	rand.New(rand.NewSource(1)).Read(input)
	f.Add(input)
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) > 4096 {
			return // the model is quadratic
		}
		runHistory(t, input)
	})
}
