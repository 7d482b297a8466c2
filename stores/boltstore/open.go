package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
)

// openFile opens the file at path and returns its contents. It creates the file if there
// is none. If the file is damaged or was not written by this package, openFile first sets
// it aside.
func openFile(path string, limits limits, logger *slog.Logger) (*file, *contents, error) {
	f, err := lockFile(path)
	if err != nil {
		return nil, nil, err
	}
	found, err := check(f)
	if err != nil && !isDamage(err) {
		f.Close()
		return nil, nil, fmt.Errorf("%w: check the disk, or move the file away", err)
	}
	if err == nil {
		opened, failed := openBolt(f, limits)
		if failed == nil || !isDamage(failed) {
			return opened, found, failed
		}
		err = failed
		if f, failed = lockFile(path); failed != nil {
			return nil, nil, errors.Join(err, failed)
		}
	}
	defer f.Close()
	if err := setAside(path, logger, err); err != nil {
		return nil, nil, err
	}
	return openNew(path, limits)
}

// openNew opens the file that replaces one that was set aside.
func openNew(path string, limits limits) (*file, *contents, error) {
	f, err := lockFile(path)
	if err != nil {
		return nil, nil, err
	}
	found, err := check(f)
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	opened, err := openBolt(f, limits)
	if err != nil { // for example on a full disk; half a file would look damaged
		err = errors.Join(err, os.Remove(path))
	}
	return opened, found, err
}

// lockFile opens the file at path, creating it if necessary, and locks it.
func lockFile(path string) (*os.File, error) {
	for {
		f, err := openRegular(path)
		if err != nil {
			return nil, mend(path, err)
		}
		ours, err := claim(f, path)
		if err == nil && ours {
			return f, nil
		}
		f.Close()
		if err != nil {
			return nil, err
		}
	}
}

// claim locks f, and reports whether path still names it: another process may have set
// it aside before it was locked.
func claim(f *os.File, path string) (bool, error) {
	if err := lock(f); err != nil {
		return false, err
	}
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	same, err := isAt(info, path)
	if err != nil || !same {
		return false, err
	}
	return true, syncDir(filepath.Dir(path))
}

// openRegular opens or creates a regular file. It refuses anything else: opening a pipe
// would block.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("it is not a regular file (mode %v): name a file", info.Mode())
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

// isAt reports whether path names the file that info describes.
func isAt(info os.FileInfo, path string) (bool, error) {
	there, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(info, there), err
}

// mend adds advice to an error from opening path.
func mend(path string, err error) error {
	dir := filepath.Dir(path)
	err = bare(err) // Open adds the path
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: there is no directory %s: make it (mkdir -p -m 700 %s), or name another file", err, dir, dir)
	case errors.Is(err, fs.ErrPermission) && exists(path):
		return fmt.Errorf("%w: let this user read and write the file (ls -l %s), or name another one", err, path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: let this user write to the directory %s (ls -ld %s), or name another file", err, dir, dir)
	}
	return err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// syncDir syncs dir, so that its file names survive a crash of the machine. It does
// nothing if the file system does not support that or this user may not read dir.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}
