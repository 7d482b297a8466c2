package main

import (
	"fmt"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testpeer"
)

// runPeer runs a program of the machine's until the test ends, and waits until it
// listens. Where it is missing the test is skipped, or fails in CI.
func runPeer(t *testing.T, addr, program, from string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		testpeer.Missing(t, fmt.Sprintf("there is no %s here: install %s", program, from))
	}
	peer := exec.Command(path, args...)
	if err := peer.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = peer.Process.Kill()
		_ = peer.Wait()
	})
	for deadline := time.Now().Add(scriptLimit); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %v", program, err)
		}
	}
}
