package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/halfshake/halfshake/external"
)

// fleetKeys finds the keys that seal the sessions in a store. They are in the file of
// --fleet-key, or in the state directory, where it makes them if necessary.
type fleetKeys struct {
	flag string // --fleet-key
	dir  string // the state directory, used if flag is empty
	log  *slog.Logger
}

// load reads the keys.
func (k fleetKeys) load() (*external.KeyRing, error) {
	what, path := "--fleet-key", k.flag
	if path == "" {
		what, path = "fleet key", k.path()
	}
	ring, info, err := readKeys(what, path)
	if err != nil {
		return nil, err
	}
	if err := checkOwner(path, info); err != nil {
		return nil, fmt.Errorf("%s %s: %w", what, path, err)
	}
	return ring, nil
}

func (k fleetKeys) path() string { return filepath.Join(k.dir, "fleet.key") }

// loadOrMake is load for the start of the server. At the first start it makes the keys.
func (k fleetKeys) loadOrMake() (*external.KeyRing, error) {
	ring, err := k.load()
	if k.flag != "" || !errors.Is(err, fs.ErrNotExist) {
		return ring, err
	}
	path := k.path()
	// If several processes find no key, one makes it and the others wait.
	unlock, err := lockedfile.MutexAt(path + ".lock").Lock()
	if err != nil {
		return nil, stateDirError(k.dir, err)
	}
	defer unlock()
	if ring, err = k.load(); !errors.Is(err, fs.ErrNotExist) {
		return ring, err
	}
	return k.make(path)
}

func (k fleetKeys) make(path string) (*external.KeyRing, error) {
	ring := external.GenerateKeys(time.Now())
	text, err := ring.MarshalText()
	if err != nil {
		return nil, err
	}
	if err := writeFile(path, text); err != nil {
		return nil, stateDirError(k.dir, err)
	}
	k.log.Info("made a fleet key, which seals the sessions in the store", "file", path)
	if _, err := os.Stat(filepath.Join(k.dir, storeFile)); err == nil {
		k.log.Warn("the sessions already in the store were sealed with another key and are lost", "store", filepath.Join(k.dir, storeFile))
	}
	return ring, nil
}

// readKeys reads a key file, which other users must not be able to read.
func readKeys(what, path string) (ring *external.KeyRing, info fs.FileInfo, err error) {
	text, info, err := readBounded(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%s %s: %w, or make one with: halfshake keygen --out %s", what, path, readError(err), path)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", what, path, readError(err))
	}
	if ring, err = external.ParseKeys(text); err != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", what, path, own(err))
	}
	if err := checkMode(path, info); err != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", what, path, err)
	}
	return ring, info, nil
}

// own returns an error of package external without its prefix, because the command adds
// its own.
func own(err error) error { return errors.New(strings.TrimPrefix(err.Error(), "external: ")) }
