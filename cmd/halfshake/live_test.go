package main

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/halfshake/halfshake"
)

// TestLiveSpans looks at irregular times: the spans have no gap, and the means
// between two looks are right.
func TestLiveSpans(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	var stats halfshake.Stats
	l := &live{stats: func() halfshake.Stats { return stats }, now: func() time.Time { return now }}
	look := func(later time.Duration, full, resumed uint64) []span {
		now = now.Add(later)
		stats.AcceptGood += full + resumed
		stats.Hits += resumed
		return l.look().Spans
	}
	for _, step := range []struct {
		later         time.Duration
		full, resumed uint64
		want          []span
	}{
		{0, 5, 5, []span{}},
		{2 * time.Second, 4, 6, []span{{2, 0, 2, 3}}},
		{500 * time.Millisecond, 1, 0, []span{{2.5, .5, 2, 3}}}, // too soon
		{500 * time.Millisecond, 0, 1, []span{{3, 1, 2, 3}, {1, 0, 1, 1}}},
		{178 * time.Second, 0, 89, []span{{180, 179, 2, 3}, {179, 178, 1, 1}, {178, 0, 0, .5}}},
		{time.Hour, 0, 0, []span{{180, 0, 0, 0}}},
	} {
		if got := look(step.later, step.full, step.resumed); !reflect.DeepEqual(got, step.want) {
			t.Errorf("%v later: %v, want %v", step.later, got, step.want)
		}
	}
	stats.Hits = stats.AcceptGood + 1 // as read during a handshake
	if got := look(time.Second, 0, 0); len(got) != 2 || got[1].Full != 0 {
		t.Errorf("with more hits than handshakes: %v", got)
	}
}

// TestLiveIsBounded: however many look, and however often, the samples are as many
// as the window has seconds, and one.
func TestLiveIsBounded(t *testing.T) {
	var clock time.Duration
	l := &live{stats: func() halfshake.Stats { return halfshake.Stats{} }, now: func() time.Time { clock += 10 * time.Millisecond; return time.Unix(0, int64(clock)) }}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 20_000 {
				l.look()
			}
		})
	}
	all.Wait()
	if got, most := len(l.samples), int(liveWindow/liveStep)+1; got > most || got < most-1 {
		t.Errorf("%d samples, want %d", got, most)
	}
}

// TestLiveJSON: the counters are those of the metrics address, and asking again
// over the same connection is no handshake.
func TestLiveJSON(t *testing.T) {
	r := startServer(t, defaultLimits)
	c := newClient(&tls.Config{}, true)
	c.http.Transport.(*http.Transport).DisableKeepAlives = false
	defer c.http.CloseIdleConnections()
	for range 3 {
		body, err := c.get(r.url + "/live.json")
		if err != nil {
			t.Fatal(err)
		}
		var got snapshot
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		var want halfshake.Stats
		if _, stats := request(t, "GET", r.metrics+"/stats.json"); json.Unmarshal([]byte(stats), &want) != nil || !reflect.DeepEqual(got.Stats, want) {
			t.Errorf("got %v, want %v", got.Stats, want)
		}
		if got.Stats.Accept != 1 {
			t.Errorf("%d handshakes, want 1", got.Stats.Accept)
		}
	}
}

// TestPollsDoNotHoldUpTheEnd ends a server that a page is watching.
func TestPollsDoNotHoldUpTheEnd(t *testing.T) {
	r := startServer(t, defaultLimits)
	c := newClient(&tls.Config{}, true)
	c.http.Transport.(*http.Transport).DisableKeepAlives = false
	defer c.http.CloseIdleConnections()
	var polls sync.WaitGroup
	polls.Go(func() {
		for {
			if _, err := c.get(r.url + "/live.json"); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	time.Sleep(100 * time.Millisecond)
	begun := time.Now()
	r.stop(t)
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("stopping took %v", took)
	}
	polls.Wait()
}

// TestEveryFigureHasItsWords: the page explains each counter of /stats.json and each
// reason of refusal.
func TestEveryFigureHasItsWords(t *testing.T) {
	cache, err := halfshake.New(halfshake.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	s := newLive(cache.Stats).look()
	var counters, reasons []string
	for _, f := range slices.Concat(s.Counters(), s.Still()) {
		counters = append(counters, f.Name)
	}
	for _, f := range s.Refusals() {
		reasons = append(reasons, f.Name)
		if !strings.HasSuffix(f.Means, ".") {
			t.Errorf("%s: %q is no sentence", f.Name, f.Means)
		}
	}
	encoded, _ := json.Marshal(s.Stats)
	var want map[string]any
	_ = json.Unmarshal(encoded, &want)
	refused := want["refused"].(map[string]any)
	for _, name := range []string{"refused", "resumed_ages", "expired_ages"} { // which are no single figures
		delete(want, name)
	}
	same(t, "counters", counters, want)
	same(t, "reasons", reasons, refused)
}

func same(t *testing.T, what string, got []string, want map[string]any) {
	t.Helper()
	for name := range want {
		if !slices.Contains(got, name) {
			t.Errorf("%s: no words for %s", what, name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d, want %d", what, len(got), len(want))
	}
}
