package storetest

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/halfshake/halfshake/external"
	"github.com/halfshake/halfshake/external/memstore"
)

// An altered is a sound store but for the methods that are set, which may call
// those of the sound one.
type altered struct {
	external.Store
	put    func(ctx context.Context, key external.Key, value []byte, expires time.Time, class external.Class) error
	get    func(context.Context, external.Key) ([]byte, error)
	take   func(context.Context, external.Key) ([]byte, error)
	delete func(context.Context, external.Key) error
}

func newAltered() *altered {
	s := memstore.New(memstore.Config{})
	return &altered{s, s.Put, s.Get, s.Take, s.Delete}
}

func (s *altered) Put(ctx context.Context, key external.Key, value []byte, expires time.Time, class external.Class) error {
	return s.put(ctx, key, value, expires, class)
}

func (s *altered) Get(ctx context.Context, key external.Key) ([]byte, error) { return s.get(ctx, key) }

func (s *altered) Take(ctx context.Context, key external.Key) ([]byte, error) {
	return s.take(ctx, key)
}

func (s *altered) Delete(ctx context.Context, key external.Key) error { return s.delete(ctx, key) }

// alterations are the faults of drivers that lie in a whole method, or between
// two.
var alterations = []struct {
	name   string
	checks string
	alter  func(*altered)
}{
	{"Get removes", "PutGet", func(s *altered) { s.get = s.Store.Take }},
	{"Put does not replace", "Replace", putIfAbsent},
	{"Take leaves the entry", "Take TakeOnce History", func(s *altered) { s.take = s.Store.Get }},
	{"Delete of nothing is an error", "Delete Absent", deleteMustFind},
	{"Delete of one is of all", "Delete", deleteAll},
	{"Delete happens later", "Delete NoComeback History", deleteLater},
	{"a timer for each Put, and none stopped", "Expiry", sweepByTimer},
	{"done contexts hang", "DoneContext", doneHangs},
	{"done contexts succeed", "DoneContext ShortDeadline", doneSucceeds},
	{"the value in an error", "ErrorsKeepSecrets", valueInError},

	{"Take gets, then deletes", "TakeOnce", takeInTwo},
	{"Take gets, then deletes if there", "History", takeIfDeleted},
	{"Put deletes, then puts", "WholeValues", putInTwo},
	{"values in two halves", "WholeValues", putInHalves},
	{"a cache in front of reads", "NoComeback History", cacheReads},
	{"a replica behind", "History", readReplica},
}

func putIfAbsent(s *altered) {
	s.put = func(ctx context.Context, key external.Key, value []byte, expires time.Time, class external.Class) error {
		if _, err := s.Store.Get(ctx, key); err == nil {
			return nil
		}
		return s.Store.Put(ctx, key, value, expires, class)
	}
}

func deleteMustFind(s *altered) {
	s.delete = func(ctx context.Context, key external.Key) error {
		_, err := s.Store.Take(ctx, key)
		return err
	}
}

func deleteAll(s *altered) {
	s.delete = func(context.Context, external.Key) error {
		emptied := newAltered()
		s.Store, s.put, s.get, s.take = emptied.Store, emptied.put, emptied.get, emptied.take
		return nil
	}
}

func deleteLater(s *altered) {
	s.delete = func(_ context.Context, key external.Key) error {
		time.AfterFunc(50*time.Millisecond, func() { s.Store.Delete(context.Background(), key) })
		return nil
	}
}

func sweepByTimer(s *altered) {
	s.put = func(ctx context.Context, key external.Key, value []byte, expires time.Time, class external.Class) error {
		time.AfterFunc(time.Until(expires), func() { s.Store.Delete(context.Background(), key) })
		return s.Store.Put(ctx, key, value, expires, class)
	}
}

func doneHangs(s *altered) {
	s.get = func(ctx context.Context, key external.Key) ([]byte, error) {
		if ctx.Err() != nil {
			time.Sleep(2 * soon)
		}
		return s.Store.Get(ctx, key)
	}
}

func doneSucceeds(s *altered) {
	s.put = func(ctx context.Context, key external.Key, value []byte, expires time.Time, class external.Class) error {
		if ctx.Err() != nil {
			return nil
		}
		return s.Store.Put(ctx, key, value, expires, class)
	}
}

func valueInError(s *altered) {
	s.put = func(ctx context.Context, key external.Key, value []byte, expires time.Time, class external.Class) error {
		return wrapped(s.Store.Put(ctx, key, value, expires, class), "SET "+string(value))
	}
}

func takeInTwo(s *altered) {
	s.take = func(ctx context.Context, key external.Key) ([]byte, error) {
		value, err := s.Store.Get(ctx, key)
		if err != nil {
			return nil, err
		}
		runtime.Gosched() // as a network does
		return value, s.Store.Delete(ctx, key)
	}
}

// takeIfDeleted gives each entry to one caller, but may remove another entry than
// it gives.
func takeIfDeleted(s *altered) {
	s.take = func(ctx context.Context, key external.Key) ([]byte, error) {
		value, err := s.Store.Get(ctx, key)
		if err != nil {
			return nil, err
		}
		runtime.Gosched()
		if _, err := s.Store.Take(ctx, key); err != nil {
			return nil, err
		}
		return value, nil
	}
}

func putInTwo(s *altered) {
	s.put = func(ctx context.Context, key external.Key, value []byte, expires time.Time, class external.Class) error {
		if err := s.Store.Delete(ctx, key); err != nil {
			return err
		}
		runtime.Gosched()
		return s.Store.Put(ctx, key, value, expires, class)
	}
}

func putInHalves(s *altered) {
	s.put = func(ctx context.Context, key external.Key, value []byte, expires time.Time, class external.Class) error {
		if half := len(value) / 2; half > 0 {
			s.Store.Put(ctx, key, value[:half], expires, class)
			runtime.Gosched()
		}
		return s.Store.Put(ctx, key, value, expires, class)
	}
}

func cacheReads(s *altered) {
	var cache sync.Map
	s.get = func(ctx context.Context, key external.Key) ([]byte, error) {
		if value, ok := cache.Load(key); ok {
			return value.([]byte), nil
		}
		value, err := s.Store.Get(ctx, key)
		if err == nil {
			runtime.Gosched()
			cache.Store(key, value)
		}
		return value, err
	}
	s.put = func(ctx context.Context, key external.Key, value []byte, expires time.Time, class external.Class) error {
		defer cache.Delete(key)
		return s.Store.Put(ctx, key, value, expires, class)
	}
	s.delete = func(ctx context.Context, key external.Key) error {
		defer cache.Delete(key)
		return s.Store.Delete(ctx, key)
	}
	s.take = func(ctx context.Context, key external.Key) ([]byte, error) {
		defer cache.Delete(key)
		return s.Store.Take(ctx, key)
	}
}

func readReplica(s *altered) {
	replica := memstore.New(memstore.Config{})
	s.get = replica.Get
	s.put = func(ctx context.Context, key external.Key, value []byte, expires time.Time, class external.Class) error {
		if err := s.Store.Put(ctx, key, value, expires, class); err != nil {
			return err
		}
		go replica.Put(context.WithoutCancel(ctx), key, bytes.Clone(value), expires, class)
		return nil
	}
}

func TestAlteredStores(t *testing.T) {
	for _, alteration := range alterations {
		for _, check := range named(t, storeChecks, alteration.checks) {
			t.Run(alteration.name+"/"+check.name, func(t *testing.T) {
				t.Parallel()
				s := newAltered()
				alteration.alter(s)
				wantFailure(t, func(t tester) { check.run(&probe{t, s}) })
			})
		}
	}
}
