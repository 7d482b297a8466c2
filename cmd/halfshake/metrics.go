package main

import (
	"io"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/external"
)

// metricsPages returns the handler of --metrics, which serves plain HTTP.
func (s *server) metricsPages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats.json", func(w http.ResponseWriter, _ *http.Request) { serveJSON(w, s.stats()) })
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", s.serveReady)
	mux.Handle("GET /metrics", s.prometheus())
	s.handleLive(mux)
	return secured(mux)
}

// stats is the answer of /stats.json: the counters of the cache, and of the store if the
// server has one.
type stats struct {
	halfshake.Stats
	Store *external.Stats `json:"store,omitempty"`
}

func (s *server) stats() stats { return stats{s.cache.Stats(), s.store.stats()} }

// serveReady says whether to send clients here. The server is ready even if its store
// does not answer, because that only costs full handshakes.
func (s *server) serveReady(w http.ResponseWriter, _ *http.Request) {
	if s.draining.Load() {
		answer(w, http.StatusServiceUnavailable, "draining")
		return
	}
	answer(w, http.StatusOK, "ready")
}

func answer(w http.ResponseWriter, status int, word string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, word+"\n")
}

func (s *server) prometheus() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{s.stats}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}
