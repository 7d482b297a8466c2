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

// maxFileSize is far above a bundle of all public authorities (0.3 MB).
const maxFileSize = 8 << 20

// readFile reads the file that a flag names.
func readFile(flag, path string) ([]byte, error) {
	data, err := readBounded(path)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", flag, path, readError(err))
	}
	return data, nil
}

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if err == nil && len(data) > maxFileSize {
		err = fmt.Errorf("larger than %d MiB; name a PEM file", maxFileSize>>20)
	}
	return data, err
}

// readError is err without the path, which the caller names, and with the mend.
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

// bare is err without the path that package os puts before it.
func bare(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// writeFile puts a file of mode 0600 in place at once: a reader sees the old
// content or the new, also after a crash.
func writeFile(path string, data []byte) (err error) {
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
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
