package main

import (
	"context"
	"log/slog"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/halfshake/halfshake"
)

// A hangingLog hangs in one line, as reading a file does before it when the server of
// a network file system has gone.
type hangingLog struct {
	slog.Handler
	line    string
	reached chan struct{}
	release chan struct{}
}

func newHangingLog(line string) hangingLog {
	return hangingLog{slog.DiscardHandler, line, make(chan struct{}), make(chan struct{})}
}

func (h hangingLog) Enabled(context.Context, slog.Level) bool { return true }

func (h hangingLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message == h.line {
		h.reached <- struct{}{}
		<-h.release
	}
	return nil
}

func hangingFlags(t *testing.T) *serveFlags {
	return &serveFlags{
		Listen: "127.0.0.1:0", StateDir: t.TempDir(), Store: memoryStore, Timeout: duration{time.Minute}, CacheSize: 1, CacheMode: cacheMode{halfshake.ModeServer},
	}
}

// TestHangingStart: a SIGTERM ends a server that cannot read its files.
func TestHangingStart(t *testing.T) {
	log := newHangingLog("made a self-signed certificate")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := begin(ctx, hangingFlags(t), slog.New(log), quick)
		ended <- err
	}()
	<-log.reached
	cancel()
	awaitEnd(t, ended)
	close(log.release)
}

// TestHangingReload: so does it in one that reads them again.
func TestHangingReload(t *testing.T) {
	log := newHangingLog("reloaded the certificates")
	s, err := newServer(hangingFlags(t), slog.New(log), quick)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	hangups := make(chan os.Signal, 1)
	ended := make(chan error, 1)
	go func() { ended <- s.serve(ctx, hangups) }()
	hangups <- syscall.SIGHUP
	<-log.reached
	cancel()
	awaitEnd(t, ended)
	close(log.release)
}

func awaitEnd(t *testing.T, ended <-chan error) {
	t.Helper()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(scriptLimit):
		t.Error("the server does not end")
	}
}
