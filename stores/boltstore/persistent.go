package boltstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/halfshake/halfshake/external"
)

// The files in the directory of an [External].
const (
	storeName = "sessions.db"
	keysName  = "fleet.key"

	// maxKeysSize is more than the size of the largest key file.
	maxKeysSize = 1 << 16
)

// An External is an external session cache whose sessions survive restarts of the
// process: an [external.External] over a [Store], with the keys that seal its
// sessions. It is safe for concurrent use.
type External struct {
	*external.External
	store *Store
}

// OpenExternal opens the external session cache in the directory dir. It creates dir
// with mode 0700 if it does not exist. Close the External after the [halfshake.Cache]
// that uses its callbacks.
//
// The directory holds two files. The first use creates both, with mode 0600:
//
//   - sessions.db is the [Store], configured by cfg. Only one process at a time can have
//     it open. In any other, OpenExternal fails soon.
//   - fleet.key holds the keys. Anyone who can read it and sessions.db has the sessions,
//     so keep it out of backups. If it is deleted, the next use creates another, and the
//     stored sessions do not resume. "halfshake keygen --rotate" adds a key, and
//     [external.External.SetKeys] puts keys into force while the process runs.
//
// OpenExternal refuses a directory that another user can write to or that users
// outside its group can enter, and a key file that any other user can read or write.
// The error contains the command that fixes it.
func OpenExternal(dir string, cfg Config) (*External, error) {
	if err := makePrivate(dir); err != nil {
		return nil, fmt.Errorf("boltstore: directory %q: %w", dir, err)
	}
	store, err := Open(filepath.Join(dir, storeName), cfg)
	if err != nil {
		return nil, err
	}
	sessions, err := store.external(filepath.Join(dir, keysName))
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return &External{sessions, store}, nil
}

// Close writes queued changes and closes the store: see [external.External.Close] and
// [Store.Close]. It returns the errors of both, or nil if the External is already closed.
func (e *External) Close() error {
	return errors.Join(e.External.Close(), e.store.Close())
}

// external returns an external cache over s under the keys in the file at path.
func (s *Store) external(path string) (*external.External, error) {
	keys, err := readKeys(path)
	if errors.Is(err, fs.ErrNotExist) {
		keys, err = s.makeKeys(path)
	}
	if err != nil {
		return nil, fmt.Errorf("boltstore: key file %s: %w", path, err)
	}
	return external.New(s, external.Config{Keys: keys, Logger: s.logTo})
}

// makePrivate creates the directory dir if it does not exist, and checks who has access.
func makePrivate(dir string) error {
	if dir == "" {
		return errors.New("its name is empty: name one that survives restarts, as in /var/lib/NAME/sessions")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	return checkPrivate(info, 0o022, "chmod 700 "+dir, "chown %d "+dir)
}

// readKeys reads the keys in the file at path.
func readKeys(path string) (*external.KeyRing, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("it is not a regular file (mode %v)", info.Mode())
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: let this user read it (ls -l %s)", bare(err), path)
	}
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, bare(err)
	}
	if err := checkPrivate(info, 0o077, "chmod 600 "+path, "chown %d "+path); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeysSize))
	if err != nil {
		return nil, bare(err)
	}
	keys, err := external.ParseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%w: restore it, or delete it to begin without the stored sessions", err)
	}
	return keys, nil
}

// makeKeys makes the first keys. No other process can do so at the same time, because
// this one holds the lock of the store in the same directory.
func (s *Store) makeKeys(path string) (*external.KeyRing, error) {
	keys := external.GenerateKeys(time.Now())
	text, err := keys.MarshalText()
	if err != nil {
		return nil, err
	}
	if err := writePrivate(path, text); err != nil {
		return nil, err
	}
	s.mu.Lock()
	lost := len(s.index.slots)
	s.mu.Unlock()
	if lost > 0 {
		s.logger().Warn("the key file is missing and a new one was made; the sessions in the store cannot resume",
			"file", path, "sessions", lost)
	}
	return keys, nil
}

// writePrivate writes a file with mode 0600 at path. After a crash, the file is complete
// or absent.
func writePrivate(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // unless it was renamed
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// checkPrivate returns an error if a file has one of the forbidden permissions or belongs
// to a user other than root and this one. The error names chmod or chown as the command
// that fixes it.
func checkPrivate(info fs.FileInfo, forbidden fs.FileMode, chmod, chown string) error {
	if mode := info.Mode().Perm(); mode&forbidden != 0 {
		return fmt.Errorf("its mode is %04o, which gives access to other users: run %s", mode, chmod)
	}
	if owner := ownerOf(info); owner != 0 && owner != os.Geteuid() {
		return fmt.Errorf("it belongs to another user, with id %d: run "+chown, owner, os.Geteuid())
	}
	return nil
}

// bare returns err without the path that package os adds.
func bare(err error) error {
	if named, ok := errors.AsType[*fs.PathError](err); ok {
		return named.Err
	}
	return err
}
