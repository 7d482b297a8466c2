package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/external"
	"github.com/halfshake/halfshake/stores/boltstore"
)

// A storeURL is the value of --store: memory:, bolt: or bolt:PATH.
type storeURL string

const memoryStore storeURL = "memory:"

// storeFile is the file of bolt:, in the state directory.
const storeFile = "sessions.db"

// UnmarshalText accepts the stores for which this program has a driver.
func (s *storeURL) UnmarshalText(text []byte) error {
	url := storeURL(text)
	if url != memoryStore && !strings.HasPrefix(string(url), "bolt:") {
		return fmt.Errorf("%q is not a store; choose memory: (sessions only in this process), bolt: (a file in the state directory) or bolt:PATH", text)
	}
	*s = url
	return nil
}

// A store is the external cache of a server, with the database below it.
type store struct {
	url      string // with its path
	keys     fleetKeys
	sessions *external.External
	driver   io.Closer
}

// openStore opens the store that the flags name. It returns nil for memory:, which has
// only the internal cache, and for --cache-mode off. In OpenSSL's off mode the sessions
// still in a store would resume, but a user who turns the cache off does not expect that.
func openStore(f *serveFlags, log *slog.Logger) (*store, error) {
	if f.Store == memoryStore || f.CacheMode.Mode == halfshake.ModeOff {
		return nil, nil
	}
	path := strings.TrimPrefix(string(f.Store), "bolt:")
	dir := ""
	if path == "" || f.FleetKey == "" {
		var err error
		if dir, err = makeStateDir(f.StateDir); err != nil {
			return nil, err
		}
	}
	if path == "" {
		path = filepath.Join(dir, storeFile)
	}
	keys := fleetKeys{flag: f.FleetKey, dir: dir, log: log}
	ring, err := keys.loadOrMake()
	if err != nil {
		return nil, err
	}
	driver, err := openBolt(path, log)
	if err != nil {
		return nil, err
	}
	sessions, err := external.New(driver, external.Config{Keys: ring, Logger: log})
	if err != nil {
		return nil, errors.Join(err, driver.Close())
	}
	return &store{url: "bolt:" + path, keys: keys, sessions: sessions, driver: driver}, nil
}

// openBolt opens the file at path, unless it belongs to another program. Without this
// check, a mistyped path would cause that file to be set aside as damaged.
func openBolt(path string, log *slog.Logger) (*boltstore.Store, error) {
	if ours, err := boltstore.Recognizes(path); err == nil && !ours {
		return nil, fmt.Errorf("--store: %s is not a file of sessions; name another, or move it away", path)
	}
	driver, err := boltstore.Open(path, boltstore.Config{Logger: log})
	if err != nil {
		return nil, fmt.Errorf("--store: %s", strings.TrimPrefix(err.Error(), "boltstore: "))
	}
	return driver, nil
}

// The methods below also work on a nil *store, which a server without a store has.

func (s *store) String() string {
	if s == nil {
		return string(memoryStore)
	}
	return s.url
}

func (s *store) callbacks() halfshake.Callbacks {
	if s == nil {
		return halfshake.Callbacks{}
	}
	return s.sessions.Callbacks()
}

// stats returns nil without a store.
func (s *store) stats() *external.Stats {
	if s == nil {
		return nil
	}
	stats := s.sessions.Stats()
	return &stats
}

// reload reads the fleet's keys again. If that fails, the old keys stay in force. It also
// removes sessions made under a dropped key from the cache's own memory, because a stolen
// key may be the reason for dropping it.
func (s *store) reload(cache *halfshake.Cache, log *slog.Logger) {
	if s == nil {
		return
	}
	ring, err := s.keys.load()
	if err == nil {
		err = s.sessions.SetKeys(ring)
	}
	switch {
	case errors.Is(err, external.ErrNotRecorded):
		log.Warn("the store has not recorded yet which sessions ended with the old fleet keys; trying again in the background", "error", err)
	case err != nil:
		log.Error("reload failed; the old fleet keys stay in force", "error", err)
		return
	}
	dropped := 0
	for session := range cache.Sessions() {
		if !ring.Made(session.ID()) && cache.Remove(session) {
			dropped++
		}
	}
	log.Info("reloaded the fleet keys", "keys", ring, "sessions_dropped", dropped)
}

// close makes the queued writes.
func (s *store) close() error {
	if s == nil {
		return nil
	}
	return errors.Join(s.sessions.Close(), s.driver.Close())
}
