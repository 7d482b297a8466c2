package boltstore

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// keptAside is how many damaged files are kept: enough to find out what damages them,
// but few, because every start may add one.
const keptAside = 3

const asideMark = ".damaged-"

// retire abandons f. If path still names f, it sets the file aside first.
func (f *file) retire(path string, logger *slog.Logger, cause error) error {
	same, err := isAt(f.info, path)
	if err != nil {
		return err
	}
	if !same {
		logger.Error("the store's file is no longer at its path; a new one begins without its sessions", "file", path, "error", cause)
	} else if err := setAside(path, logger, cause); err != nil {
		return err
	}
	f.abandon()
	return nil
}

// setAside renames the file at path to an unused name. The caller holds the file's lock.
func setAside(path string, logger *slog.Logger, cause error) error {
	to, err := freeName(path + asideMark + time.Now().UTC().Format("20060102T150405.000000000Z"))
	if err == nil {
		if err = os.Rename(path, to); err != nil {
			os.Remove(to)
		}
	}
	if err != nil {
		return fmt.Errorf("%w; it cannot be set aside: %w: let this user write to its directory, or move it away", cause, err)
	}
	logger.Error("the store's file is damaged and was set aside; a new one begins without its sessions",
		"file", path, "moved_to", to, "error", cause)
	if err := prune(path); err != nil {
		logger.Error("an older damaged file cannot be removed", "error", err)
	}
	return syncDir(filepath.Dir(path))
}

// freeName makes an empty file at name, or at name with a number appended. The rename
// that follows then overwrites only that file.
func freeName(name string) (string, error) {
	for n := 0; ; n++ {
		to := name
		if n > 0 {
			to = fmt.Sprintf("%s-%d", name, n)
		}
		f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err == nil {
			return to, f.Close()
		}
		if !os.IsExist(err) {
			return "", err
		}
	}
}

// prune removes all files that were set aside, except for the newest keptAside.
func prune(path string) error {
	aside, err := asideOf(path)
	if err != nil {
		return err
	}
	for len(aside) > keptAside {
		if err := os.Remove(aside[0]); err != nil {
			return err
		}
		aside = aside[1:]
	}
	return nil
}

// asideOf returns the files that were set aside from path, oldest first.
func asideOf(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var names []string
	prefix := filepath.Base(path) + asideMark
	for _, e := range entries {
		if len(e.Name()) > len(prefix) && e.Name()[:len(prefix)] == prefix {
			names = append(names, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	slices.Sort(names)
	return names, nil
}
