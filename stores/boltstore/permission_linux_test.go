package boltstore

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

func TestOpenWithoutPermission(t *testing.T) {
	unprivileged(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "sessions.db")
	if err := os.WriteFile(path, []byte("precious"), 0o400); err != nil {
		t.Fatal(err)
	}
	wantOpenError(t, path, "permission denied", "read and write the file")
	if got, err := os.ReadFile(path); string(got) != "precious" {
		t.Error(got, err)
	}
	os.Chmod(path, 0o600)
	os.Chmod(dir, 0o500)
	defer os.Chmod(dir, 0o700)
	wantOpenError(t, filepath.Join(dir, "other.db"), "permission denied", "write to the directory")
	// The file is damaged, and cannot be set aside.
	wantOpenError(t, path, "damaged file", "cannot be set aside", "write to its directory")
	if got, err := os.ReadFile(path); string(got) != "precious" {
		t.Error(got, err)
	}
}

// unprivileged makes the rest of the test run without root's exemption from file
// permissions, on a thread that ends with the test.
func unprivileged(t *testing.T) {
	if os.Getuid() != 0 {
		return
	}
	runtime.LockOSThread()
	if err := os.Chmod(filepath.Dir(t.TempDir()), 0o777); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0); errno != 0 {
		t.Fatal(errno)
	}
	t.Cleanup(func() { syscall.RawSyscall(syscall.SYS_SETFSUID, 0, 0, 0) })
}
