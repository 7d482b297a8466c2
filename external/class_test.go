package external_test

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/external"
	"github.com/halfshake/halfshake/external/memstore"
	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/internal/testsecrets"
)

// A classStore notes the class of each put.
type classStore struct {
	*memstore.Store

	mu      sync.Mutex
	classes []external.Class
}

func (s *classStore) Put(ctx context.Context, key external.Key, value []byte, expires time.Time, class external.Class) error {
	s.mu.Lock()
	s.classes = append(s.classes, class)
	s.mu.Unlock()
	return s.Store.Put(ctx, key, value, expires, class)
}

// A client that completes its handshake has its session put once, as proved.
func TestClassOfRealHandshakes(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		synctest.Test(t, func(t *testing.T) {
			store := &classStore{Store: memstore.New(memstore.Config{})}
			keys := external.GenerateKeys(time.Now())
			external.RecordKeys(keys)
			sessions, err := external.New(store, external.Config{Keys: keys})
			if err != nil {
				t.Fatal(err)
			}
			cache, err := halfshake.New(halfshake.Config{Callbacks: sessions.Callbacks()})
			if err != nil {
				t.Fatal(err)
			}
			ca := testca.Root("classes", testca.ECDSA)
			server := &tls.Config{Certificates: []tls.Certificate{ca.Server("a.example")}}
			client := &tls.Config{
				RootCAs: ca.Pool(), ServerName: "a.example", MinVersion: version, MaxVersion: version,
				ClientSessionCache: tls.NewLRUClientSessionCache(1), KeyLogWriter: testsecrets.KeyLog(),
			}
			for _, resumed := range []bool{false, true} {
				if hello(cache, server, client) != resumed {
					t.Errorf("%s: resumed: %v", tls.VersionName(version), !resumed)
				}
				time.Sleep(2 * time.Second)
			}
			if err := errors.Join(cache.Close(), sessions.Close()); err != nil {
				t.Error(err)
			}
			want := []external.Class{external.ClassProved}
			if version == tls.VersionTLS13 { // the resumption made a session, too
				want = append(want, external.ClassProved)
			}
			if !slices.Equal(store.classes, want) {
				t.Errorf("%s: put with classes %v, want %v", tls.VersionName(version), store.classes, want)
			}
		})
	}
}
