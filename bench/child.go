package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/metrics"
	"strings"
	"syscall"
)

// A child is a server in a process of its own.
type child struct {
	addr string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
}

// startAll starts a server of each kind. stop ends those that have started.
func startAll(kinds []string, dir string) (children []*child, stop func() error, err error) {
	stop = func() (err error) {
		for _, c := range children {
			err = errors.Join(err, c.stop())
		}
		return err
	}
	for _, kind := range kinds {
		c, err := start(kind, dir)
		if err != nil {
			return children, stop, fmt.Errorf("server %s: %w", kind, err)
		}
		children = append(children, c)
	}
	return children, stop, nil
}

func start(kind, dir string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(self, childArg, kind, dir)}
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.in, c.out = in, bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	if c.addr, err = c.line(); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

func (c *child) line() (string, error) {
	s, err := c.out.ReadString('\n')
	return strings.TrimSpace(s), err
}

func (c *child) stop() error { return errors.Join(c.in.Close(), c.cmd.Wait()) }

// usage is what a server has spent.
type usage struct {
	cpu    int64 // nanoseconds
	allocs int64 // objects
}

func (u usage) minus(v usage) usage { return usage{u.cpu - v.cpu, u.allocs - v.allocs} }

func (u usage) String() string { return fmt.Sprint(u.cpu, " ", u.allocs) }

// spends returns what the server spends while do runs.
func (c *child) spends(do func() error) (usage, error) {
	before, err := c.usage()
	if err != nil {
		return usage{}, err
	}
	if err := do(); err != nil {
		return usage{}, err
	}
	after, err := c.usage()
	return after.minus(before), err
}

// usage asks the server. A session that was not written is an error: what was not
// done is not to be measured.
func (c *child) usage() (u usage, err error) {
	if _, err := io.WriteString(c.in, "\n"); err != nil {
		return u, err
	}
	s, err := c.line()
	if err != nil {
		return u, err
	}
	var lost uint64
	if _, err := fmt.Sscan(s, &u.cpu, &u.allocs, &lost); err != nil {
		return u, err
	}
	if lost > 0 {
		return u, fmt.Errorf("%d sessions were not written to the store", lost)
	}
	return u, nil
}

// spentSoFar is the server's own answer.
func spentSoFar() usage {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	allocs := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/tiny/allocs:objects"}}
	metrics.Read(allocs)
	return usage{r.Utime.Nano() + r.Stime.Nano(), int64(allocs[0].Value.Uint64() + allocs[1].Value.Uint64())}
}
