package external_test

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/external"
	"github.com/halfshake/halfshake/external/memstore"
	"github.com/halfshake/halfshake/external/storetest"
	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/internal/testsecrets"
)

// A process whose clock is behind that of another, or that was set back, stores and
// resumes sessions at once, whatever the other has recorded as ended.
func TestLineagesBeginAfterTheFloor(t *testing.T) {
	for _, replaceKeys := range []bool{false, true} {
		store, keys, ca := memstore.New(memstore.Config{}), newKeys(), testca.Root("floor", testca.ECDSA)
		server := &tls.Config{Certificates: []tls.Certificate{ca.Server("a.example")}}
		newClient := func(version uint16) *tls.Config {
			return &tls.Config{
				RootCAs: ca.Pool(), ServerName: "a.example", MinVersion: version, MaxVersion: version,
				ClientSessionCache: tls.NewLRUClientSessionCache(1), KeyLogWriter: testsecrets.KeyLog(),
			}
		}
		// process runs use in a process of its own.
		process := func(clock func() time.Time, use func(*halfshake.Cache, *external.External)) {
			sessions, err := external.New(store, external.Config{Keys: keys})
			if err != nil {
				t.Fatal(err)
			}
			cache, err := halfshake.New(halfshake.Config{Callbacks: sessions.Callbacks(), Time: clock})
			if err != nil {
				t.Fatal(err)
			}
			use(cache, sessions)
			if err := errors.Join(cache.Close(), sessions.Close()); err != nil {
				t.Error(err)
			}
		}
		early := newClient(tls.VersionTLS13)
		process(func() time.Time { return time.Now().Add(time.Hour) }, func(cache *halfshake.Cache, sessions *external.External) {
			if hello(cache, server, early) || !hello(cache, server, early) {
				t.Error("no resumption before")
			}
			if !replaceKeys {
				cache.Flush(time.Time{})
				return
			}
			keys = newKeys()
			if err := sessions.SetKeys(keys); err != nil {
				t.Error(err)
			}
		})
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			client := newClient(version)
			for visit := range 3 {
				process(time.Now, func(cache *halfshake.Cache, _ *external.External) {
					if resumed := hello(cache, server, client); resumed != (visit > 0) {
						t.Errorf("keys replaced %v, %s: resumed in visit %d: %v", replaceKeys, tls.VersionName(version), visit, resumed)
					}
				})
			}
		}
		process(time.Now, func(cache *halfshake.Cache, _ *external.External) {
			if hello(cache, server, early) {
				t.Errorf("keys replaced %v: what has ended resumed", replaceKeys)
			}
		})
	}
}

func newKeys() *external.KeyRing {
	keys := external.GenerateKeys(time.Now())
	external.RecordKeys(keys)
	return keys
}

// What was removed and is added again resumes in the Cache that removed it, once the
// store has acknowledged the deletion, and in no other.
func TestAddAfterRemove(t *testing.T) {
	for _, refusing := range []bool{false, true} {
		faulty, ca := storetest.NewFaulty(memstore.New(memstore.Config{})), testca.Root("add", testca.ECDSA)
		sessions, err := external.New(faulty, external.Config{Keys: newKeys(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		server := &tls.Config{Certificates: []tls.Certificate{ca.Server("a.example")}}
		var caches [2]*halfshake.Cache
		for i := range caches {
			caches[i], err = halfshake.New(halfshake.Config{CallbackTimeout: 100 * time.Millisecond, Callbacks: sessions.Callbacks()})
			if err != nil {
				t.Fatal(err)
			}
		}
		client := &tls.Config{ // in TLS 1.2, where a session keeps its id
			RootCAs: ca.Pool(), ServerName: "a.example", MaxVersion: tls.VersionTLS12,
			ClientSessionCache: tls.NewLRUClientSessionCache(1), KeyLogWriter: testsecrets.KeyLog(),
		}
		hello(caches[0], server, client)
		for s := range caches[0].Sessions() {
			if refusing {
				faulty.SetAll(storetest.Fail)
			}
			caches[0].Remove(s)
			for i, cache := range caches {
				if !cache.Add(s) {
					t.Fatal("not added")
				}
				jar := client.ClientSessionCache
				client.ClientSessionCache = once{jar}
				if resumed := hello(cache, server, client); resumed != (i == 0 && !refusing) {
					t.Errorf("deletes fail %v: Cache %d resumed %v", refusing, i, resumed)
				}
				client.ClientSessionCache = jar
			}
		}
		faulty.Heal()
		for _, cache := range caches {
			cache.Close()
		}
		sessions.Close()
	}
}

// once is a client's cache that keeps the session it has.
type once struct{ tls.ClientSessionCache }

func (once) Put(string, *tls.ClientSessionState) {}
