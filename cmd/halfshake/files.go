package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// maxFileSize is far larger than a bundle of all public authorities (0.3 MB).
const maxFileSize = 8 << 20

// readFile reads the file that a flag names.
func readFile(flag, path string) ([]byte, error) {
	data, _, err := readBounded(path)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", flag, path, readError(err))
	}
	return data, nil
}

// readBounded returns the content and the FileInfo of a regular file. Anything else is an
// error, because opening or reading a named pipe could block.
func readBounded(path string) ([]byte, fs.FileInfo, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, nil, err
	case info.IsDir():
		return nil, nil, syscall.EISDIR
	case !info.Mode().IsRegular():
		return nil, nil, errors.New("not a regular file; copy its content to a file and name that file")
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if err == nil && len(data) > maxFileSize {
		err = fmt.Errorf("larger than %d MiB; name a PEM file", maxFileSize>>20)
	}
	return data, info, err
}

// ownerOf returns the user id of a file's owner.
func ownerOf(info fs.FileInfo) int {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return os.Geteuid()
	}
	return int(stat.Uid)
}

// isForeign reports whether a user is neither root nor the user of this process.
func isForeign(owner int) bool { return owner != 0 && owner != os.Geteuid() }

// checkOwner refuses a file with a secret that belongs to another user.
func checkOwner(path string, info fs.FileInfo) error {
	if owner := ownerOf(info); isForeign(owner) {
		return fmt.Errorf("it belongs to the user with id %d, who can read it; run: chown %d %s", owner, os.Geteuid(), path)
	}
	return nil
}

// checkMode refuses a file with a secret that everybody can read, or that anyone other
// than its owner can change.
func checkMode(path string, info fs.FileInfo) error {
	if mode := info.Mode().Perm(); mode&exposedMode != 0 {
		return fmt.Errorf("its mode is %04o, so other users of this machine can read or change it; run: chmod 600 %s", mode, path)
	}
	return nil
}

// exposedMode are the permissions that a file with a secret must not give. Its group may
// read it, because that is how keys are shared with a service.
const exposedMode = 0o027

// readError returns err with a hint how to fix it, and without the path, which the caller
// names.
func readError(err error) error {
	switch err = bare(err); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; check the path", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; let the user that runs halfshake read it", err)
	case errors.Is(err, syscall.EISDIR):
		return fmt.Errorf("%w; name the file in it", err)
	}
	return err
}

// bare returns err without the path that package os puts before it.
func bare(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// writeFile atomically writes a file of mode 0600: a reader sees the old content or the
// new, even after a crash.
func writeFile(path string, data []byte) error {
	return writeFileAs(path, data, func(*os.File) error { return nil })
}

// replaceFile is writeFile for a file that exists. It keeps the file's mode and owner,
// because another user may read it. It replaces the target of a symbolic link, not the
// link.
func replaceFile(path string, data []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return writeFileAs(path, data, func(file *os.File) error {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			if err := file.Chown(int(stat.Uid), int(stat.Gid)); err != nil {
				return err
			}
		}
		return file.Chmod(info.Mode().Perm())
	})
}

// writeFileAs calls as with the new file before it is renamed into place.
func writeFileAs(path string, data []byte, as func(*os.File) error) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = file.Write(data)
	if err = errors.Join(err, as(file), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
