//go:build unix

package boltstore

import (
	"crypto/tls"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/halfshake/halfshake"
)

// BenchmarkRemove and BenchmarkRemoveLineage remove sessions of a Cache over a file, from
// one caller and from 32 at once. Each call returns when the removal is on the disk.
func BenchmarkRemove(b *testing.B) {
	eachCallers(b, func(cache *halfshake.Cache, s *halfshake.Session) { cache.Remove(s) })
}

func BenchmarkRemoveLineage(b *testing.B) {
	eachCallers(b, func(cache *halfshake.Cache, s *halfshake.Session) {
		if err := cache.RemoveLineage(s.Lineage()); err != nil {
			b.Error(err)
		}
	})
}

func eachCallers(b *testing.B, remove func(*halfshake.Cache, *halfshake.Session)) {
	for name, callers := range map[string]int{"alone": 1, "32 callers": 32} {
		b.Run(name, func(b *testing.B) {
			e := openExternal(b, filepath.Join(b.TempDir(), "sessions"))
			defer func() { must(b, e.Close()) }()
			cache, err := halfshake.New(halfshake.Config{Size: -1, Callbacks: e.Callbacks()})
			must(b, err)
			defer func() { must(b, cache.Close()) }()
			sessions := make(chan *halfshake.Session, b.N)
			for _, s := range makeSessions(b, cache, b.N) {
				sessions <- s
			}
			close(sessions)
			for e.Stats().Queued > 0 {
				time.Sleep(commitInterval)
			}
			time.Sleep(2 * commitInterval) // until the file has them
			b.ResetTimer()
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					for s := range sessions {
						remove(cache, s)
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "removals/s")
			b.StopTimer()
		})
	}
}

// makeSessions puts n sessions into the cache and its store, each of a different lineage,
// as handshakes do.
func makeSessions(b *testing.B, cache *halfshake.Cache, n int) (made []*halfshake.Session) {
	b.Helper()
	config, err := cache.ServerConfig(&tls.Config{Certificates: []tls.Certificate{certificate}})
	must(b, err)
	state, err := tls.ParseSessionState(serverSession)
	must(b, err)
	for range n {
		id, err := config.WrapSession(tls.ConnectionState{Version: tls.VersionTLS13}, state)
		must(b, err)
		s, ok := cache.Session(id)
		if !ok {
			b.Fatal("the session is not cached")
		}
		made = append(made, s)
	}
	return made
}

// serverSession returns a TLS 1.3 session of crypto/tls with a secret of 32 bytes, in the
// encoding that crypto/tls/ticket.go describes.
var serverSession = append(append([]byte{3, 4, 1, 0x13, 1, 0, 0, 0, 0, 0x6a, 0, 0, 0, 32},
	"a secret of thirty-two bytes    "...), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
