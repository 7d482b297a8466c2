//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package boltstore

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

// lock fails. On this platform, bbolt cannot open a file that this process has already
// locked the way bbolt does.
func lock(*os.File) error {
	return fmt.Errorf("%w on %s: use another store", errors.ErrUnsupported, runtime.GOOS)
}

// lockShared fails, because lock does.
func lockShared(f *os.File) error { return lock(f) }

// ownerOf returns this user, because file ownership is not checked on this platform.
func ownerOf(os.FileInfo) int { return os.Geteuid() }
