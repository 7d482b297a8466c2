//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package boltstore

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

// lock fails: on this platform a file that is locked as bbolt does it cannot be handed to
// bbolt.
func lock(*os.File) error {
	return fmt.Errorf("%w on %s: use another store", errors.ErrUnsupported, runtime.GOOS)
}

// ownerOf returns this user: a file system without users has no other.
func ownerOf(os.FileInfo) int { return os.Geteuid() }
