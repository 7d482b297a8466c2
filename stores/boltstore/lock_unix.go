//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package boltstore

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// lockPatience is how long to wait for a process that was killed and has not quite ended.
const lockPatience = 300 * time.Millisecond

// lock locks f for this process as bbolt would, but before the file is checked. The lock
// ends when the last descriptor of f is closed.
func lock(f *os.File) error {
	err := flock(f)
	for deadline := time.Now().Add(lockPatience); errors.Is(err, syscall.EWOULDBLOCK) && time.Now().Before(deadline); err = flock(f) {
		time.Sleep(10 * time.Millisecond)
	}
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return fmt.Errorf("it is open already, in another process (fuser %s names it) or in this one: close it there, or name another file", f.Name())
	case err != nil:
		return fmt.Errorf("it cannot be locked: %w: name a file on a local disk", err)
	}
	return nil
}

func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// lockShared locks f against Open, but not against other readers.
func lockShared(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return fmt.Errorf("a server has it open (fuser %s names the process): stop the server first", f.Name())
	case err != nil:
		return fmt.Errorf("it cannot be locked: %w: copy it to a local disk", err)
	}
	return nil
}

// ownerOf returns the id of the user who owns a file.
func ownerOf(info os.FileInfo) int {
	return int(info.Sys().(*syscall.Stat_t).Uid)
}
