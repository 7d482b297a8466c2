// Package testpeer finds the programs that tests talk to. Only tests import it.
package testpeer

import (
	"os"
	"os/exec"
	"testing"
)

// Need returns the path of a program. If it is missing, Need skips the test or, in CI,
// fails it.
func Need(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		Missing(t, program+" is not on PATH: make setup installs it where it can")
	}
	return path
}

// Missing skips the test because of what why says is missing. With CI=true it fails the
// test: there, every peer must be present.
func Missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}
