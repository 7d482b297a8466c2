package main

import (
	"log/slog"
	"net"
	"path/filepath"
	"testing"
)

// TestNothingHalfStarted: a server that cannot start leaves its addresses free.
func TestNothingHalfStarted(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	taken := address(other.Addr().String())
	for name, flags := range map[string]serveFlags{
		"no such file":           {Metrics: "127.0.0.1:0", ClientCA: filepath.Join(t.TempDir(), "absent.pem")},
		"the second address":     {Metrics: taken},
		"a mode that is unknown": {Metrics: "127.0.0.1:0", CacheMode: cacheMode{1 << 15}},
	} {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		flags.Listen, flags.StateDir = address(free.Addr().String()), t.TempDir()
		_ = free.Close()
		if _, err := newServer(&flags, slog.New(slog.DiscardHandler), quick); err == nil {
			t.Fatalf("%s: no error", name)
		}
		again, err := net.Listen("tcp", string(flags.Listen))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = again.Close()
	}
}
