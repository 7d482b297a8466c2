package main

import (
	"context"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"github.com/halfshake/halfshake/tls12"
)

// httpServer returns a server within the limits.
func (s *server) httpServer(handler http.Handler) *http.Server {
	errorLog := slog.NewLogLogger(httpLog{s.log.Handler()}, slog.LevelDebug)
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: s.limits.handshake, // net/http gives the handshake of a *tls.Conn the same
		ReadTimeout:       s.limits.request,
		WriteTimeout:      s.limits.request,
		IdleTimeout:       s.limits.idle,
		MaxHeaderBytes:    s.limits.headerBytes,
		ConnContext:       rememberConn,
		ConnState:         logFailedHandshake(errorLog),
		ErrorLog:          errorLog,
	}
}

// pages returns the handler of the pages served over TLS.
func (s *server) pages() http.Handler {
	mux := http.NewServeMux()
	s.handleLive(mux)
	mux.HandleFunc("GET /connection.json", serveConnection)
	return secured(mux)
}

// secured adds security headers to every answer, including errors, so that a browser
// treats it only as its declared content type.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", contentSecurityPolicy)
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

type connKey struct{}

// rememberConn is [http.Server.ConnContext]. It lets connOf find the connection.
func rememberConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

func connOf(r *http.Request) net.Conn {
	conn, _ := r.Context().Value(connKey{}).(net.Conn)
	return conn
}

// logFailedHandshake returns an [http.Server.ConnState] that logs the failed
// handshakes of package tls12 as net/http logs those of crypto/tls.
func logFailedHandshake(log *log.Logger) func(net.Conn, http.ConnState) {
	return func(conn net.Conn, state http.ConnState) {
		conn12, ok := conn.(*tls12.Conn)
		if !ok || state != http.StateClosed {
			return
		}
		if err := conn12.Handshake(); err != nil { // the outcome of the one that net/http ran
			log.Printf("http: TLS handshake error from %s: %v", conn.RemoteAddr(), err)
		}
	}
}

// httpLog receives net/http's log. It logs clients' errors at the debug level, and our own
// panics as errors.
type httpLog struct{ slog.Handler }

// Enabled lets through lines that Handle may raise to a higher level.
func (h httpLog) Enabled(ctx context.Context, _ slog.Level) bool {
	return h.Handler.Enabled(ctx, slog.LevelError)
}

// Handle passes r on at the right level.
func (h httpLog) Handle(ctx context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "http: panic") {
		r.Level = slog.LevelError
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}
