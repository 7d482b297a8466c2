package boltstore

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/halfshake/halfshake/external"
)

// TestModel performs random operations with few keys, and compares the results with a map.
// Commits, restarts and advances of the clock happen in between.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		random := rand.New(rand.NewPCG(seed, 1))
		clock := newHandClock()
		r := newRigIn(t, quickDir(t), Config{})
		r.clock = clock.now
		r.reopen(Config{})
		type entry struct {
			value   []byte
			expires time.Time
		}
		model := make(map[external.Key]entry)
		lives := []time.Duration{-time.Second, time.Second, time.Minute, time.Hour, time.Hour}
		for step := range 2000 {
			k := key(random.IntN(40))
			want, there := model[k]
			there = there && want.expires.After(clock.now())
			var got []byte
			var err error
			switch op := random.IntN(100); {
			case op < 40:
				e := entry{value(1 + random.IntN(3000)), clock.in(lives[random.IntN(len(lives))])}
				model[k] = e
				if err := r.Put(t.Context(), k, e.value, e.expires, external.ClassUnproved); err != nil {
					t.Fatal(err)
				}
				continue
			case op < 70:
				got, err = r.Get(t.Context(), k)
			case op < 80:
				got, err = r.Take(t.Context(), k)
				delete(model, k)
			case op < 90:
				delete(model, k)
				if err := r.Delete(t.Context(), k); err != nil {
					t.Fatal(err)
				}
				continue
			case op < 93:
				clock.pass(time.Duration(random.IntN(int(20 * time.Second))))
				continue
			case op < 99:
				r.flush(t)
				continue
			default:
				r.reopen(Config{})
				continue
			}
			if there != (err == nil) || !there && !errors.Is(err, external.ErrNotFound) || there && !bytes.Equal(got, want.value) {
				t.Fatalf("seed %d, step %d: got %d bytes, %v; there: %t", seed, step, len(got), err, there)
			}
		}
		if r.log.Len() > 0 {
			t.Fatal(&r.log)
		}
	}
}
