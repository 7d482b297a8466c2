package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// makeStateDir returns the state directory, and makes it if it is missing. flag is
// --state-dir. Only this user and root may be able to put files there.
func makeStateDir(flag string) (string, error) {
	dir, err := stateDirPath(flag)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", stateDirError(dir, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", stateDirError(dir, err)
	}
	if owner := ownerOf(info); isForeign(owner) {
		return "", stateDirError(dir, fmt.Errorf("it belongs to the user with id %d, who could put a key of their own into it", owner))
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return "", stateDirError(dir, fmt.Errorf("its mode is %04o, so other users of this machine can put files into it; run: chmod 700 %s", mode, dir))
	}
	return dir, nil
}

const withoutStateDir = "--state-dir, or use none: --store memory: with --cert FILE and --key FILE"

func stateDirError(dir string, err error) error {
	return fmt.Errorf("state directory %s: %w; give one that can be written with "+withoutStateDir, dir, bare(err))
}

// stateDirPath prefers the flag to the service manager's choice, and that choice to the
// user's. systemd may list several directories; the first one is used.
func stateDirPath(flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	if dirs := filepath.SplitList(os.Getenv("STATE_DIRECTORY")); len(dirs) > 0 && dirs[0] != "" {
		return dirs[0], nil
	}
	if base := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(base) { // the XDG specification says to ignore a relative path
		return filepath.Join(base, "halfshake"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errors.New("no state directory: $HOME is not set; give one with " + withoutStateDir)
	}
	return filepath.Join(home, ".local", "state", "halfshake"), nil
}
