package boltstore

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// children are what the test binary can do in a child process, on the file that
// BOLTSTORE_FILE names.
var children = map[string]func(){
	"puts":  func() { live(false) },
	"mixed": func() { live(true) },
	"hold":  hold,
}

// hold keeps the file open until it is killed.
func hold() {
	_, err := Open(os.Getenv("BOLTSTORE_FILE"), quiet)
	fmt.Println("open", err)
	select {}
}

// A child is a process that runs one of children.
type child struct {
	testing.TB
	cmd     *exec.Cmd
	started chan struct{} // closed after the first line
	read    sync.WaitGroup
	lines   []string // valid after read.Wait
}

func startChild(t testing.TB, role, path string) *child {
	t.Helper()
	c := &child{TB: t, cmd: exec.Command(os.Args[0]), started: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), "BOLTSTORE_CHILD="+role, "BOLTSTORE_FILE="+path)
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	c.read.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if c.lines = append(c.lines, lines.Text()); len(c.lines) == 1 {
				close(c.started)
			}
		}
	})
	t.Cleanup(c.kill)
	select {
	case <-c.started:
	case <-time.After(20 * time.Second):
		t.Fatalf("the child %q prints nothing", role)
	}
	return c
}

// kill ends the child with SIGKILL, and reads the rest of its output.
func (c *child) kill() {
	c.cmd.Process.Kill()
	c.read.Wait()
	c.cmd.Wait()
}
