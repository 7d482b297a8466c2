package main

import (
	"io"
	"net/http"
)

// metricsPages is what --metrics serves, over plain HTTP.
func (s *server) metricsPages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats.json", func(w http.ResponseWriter, _ *http.Request) {
		serveJSON(w, s.cache.Stats())
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "ok\n")
	})
	return secured(mux)
}
