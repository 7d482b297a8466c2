package halfshake

import (
	"crypto/tls"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A flood of 100,000 sessions that are never resumed, into a full cache of 20,480
// with 1,000 sessions in regular use: all 1,000 still resume. The regular clients
// make real handshakes through every door, in both versions; so does the flood
// with HALFSHAKE_SOAK set (make soak), and otherwise it comes in where a
// handshake's session does.
func TestFlood(t *testing.T) {
	const regulars, flood = 1_000, 100_000
	c := newCache(t, Config{Timeout: time.Hour}) // the flood takes minutes on a busy machine
	var opens []opener
	for _, d := range append(doors, viaIDs) {
		opens = append(opens, d.open(t, c, serverConfig()))
	}
	clients := make([]*client, regulars)
	for i := range clients {
		clients[i] = newClient(versions[i/4%2])
	}
	visit := func(wantResumed bool) (missing int) {
		for i, cl := range clients {
			if connectOK(t, opens[i%4], cl).resumed != wantResumed {
				missing++
			}
		}
		return missing
	}
	one := floodOne(t, c, opens)
	for range DefaultSize {
		one()
	}
	if n := visit(false); n != 0 {
		t.Fatalf("%d clients resumed what they never made", n)
	}
	if n := visit(true); n != 0 {
		t.Fatalf("%d of %d new sessions did not resume in a full cache", n, regulars)
	}
	inParallel(flood, one)
	st := c.Stats()
	if n := visit(true); n != 0 {
		t.Errorf("%d of %d sessions in regular use were lost to the flood", n, regulars)
	}
	if st.Number != DefaultSize || st.CacheFull < flood {
		t.Errorf("%d sessions, %d evicted", st.Number, st.CacheFull)
	}
}

// floodOne returns what makes one session of the flood.
func floodOne(t *testing.T, c *Cache, opens []opener) func() {
	var n atomic.Uint64
	if os.Getenv("HALFSHAKE_SOAK") != "" {
		return func() {
			i := n.Add(1)
			connectOK(t, opens[i%3], newClient(versions[i/3%2]))
		}
	}
	made := map[uint16]*Session{}
	for _, version := range versions {
		made[version] = madeUnder(t, c, serverConfig(), version)
	}
	return func() {
		s := made[versions[n.Add(1)%2]]
		makes(c, policyWith(&tls.Config{}, "", ""), s.serverName, s.version, s.state)
	}
}

func inParallel(n int, f func()) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range n / 4 {
				f()
			}
		})
	}
	wg.Wait()
}
