package main

import (
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/halfshake/halfshake"
)

// liveWindow is how far back the page's plot goes. liveStep is its resolution.
const (
	liveWindow = 3 * time.Minute
	liveStep   = time.Second
)

// live records the cache's counters over time. It reads them only when somebody looks, so
// it needs no goroutine and costs nothing while nobody watches. Between two looks it
// knows only the mean.
type live struct {
	stats func() halfshake.Stats
	now   func() time.Time

	mu      sync.Mutex
	samples []sample // guarded by mu; oldest first, at least liveStep apart
}

// A sample is the number of handshakes completed at a point in time.
type sample struct {
	at            time.Time
	full, resumed uint64
}

// A snapshot is the answer of /live.json. Like Stats it contains no ids and no secrets.
type snapshot struct {
	Stats  halfshake.Stats `json:"stats"`
	Window float64         `json:"window_seconds"`
	Spans  []span          `json:"spans"` // oldest first, without gaps
}

// A span is a stretch of the window, in seconds before now, and the handshakes
// completed per second in it.
type span struct {
	From    float64 `json:"from"`
	To      float64 `json:"to"`
	Full    float64 `json:"full_per_second"`
	Resumed float64 `json:"resumed_per_second"`
}

func newLive(stats func() halfshake.Stats) *live {
	l := &live{stats: stats, now: time.Now}
	l.look()
	return l
}

// look reads the counters.
func (l *live) look() snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	stats, now := l.stats(), l.now()
	l.add(sample{now, stats.AcceptGood - min(stats.Hits, stats.AcceptGood), stats.Hits})
	return snapshot{stats, liveWindow.Seconds(), l.spans(now)}
}

// add keeps s, unless the last sample is too recent, and drops samples outside the
// window.
func (l *live) add(s sample) {
	if n := len(l.samples); n > 0 && s.at.Sub(l.samples[n-1].at) < liveStep {
		return
	}
	l.samples = append(l.samples, s)
	for len(l.samples) > 1 && s.at.Sub(l.samples[1].at) >= liveWindow {
		l.samples = l.samples[1:]
	}
}

func (l *live) spans(now time.Time) []span {
	spans := []span{}
	for i := range len(l.samples) - 1 {
		a, b := l.samples[i], l.samples[i+1]
		seconds := b.at.Sub(a.at).Seconds()
		spans = append(spans, span{
			From: short(min(now.Sub(a.at), liveWindow).Seconds()), To: short(min(now.Sub(b.at), liveWindow).Seconds()),
			Full: rate(a.full, b.full, seconds), Resumed: rate(a.resumed, b.resumed, seconds),
		})
	}
	return spans
}

// rate is the growth per second. Because counters are read one by one, they may seem to
// shrink by one.
func rate(before, after uint64, seconds float64) float64 {
	return short(float64(after-min(before, after)) / seconds)
}

// short returns x with as many digits as a plot can show.
func short(x float64) float64 { return math.Round(x*100) / 100 }

// handleLive serves the page and its counters.
func (s *server) handleLive(mux *http.ServeMux) {
	l := newLive(s.cache.Stats)
	mux.HandleFunc("GET /{$}", s.page(l))
	mux.HandleFunc("GET /live.json", func(w http.ResponseWriter, _ *http.Request) { serveJSON(w, l.look()) })
}
