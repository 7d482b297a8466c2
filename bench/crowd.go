package main

import (
	"errors"
	"sync"
	"sync/atomic"
)

// parallel is how many clients visit a server at a time: enough to keep it busy. What
// a server spends to fall asleep and to wake up between the visits of one client says
// nothing of its handshakes.
const parallel = 8

// A crowd is clients that visit at the same time, each with its own session.
type crowd []client

func newCrowd(newClient func() client) crowd {
	c := make(crowd, parallel)
	for i := range c {
		c[i] = newClient()
	}
	return c
}

// visit has each client make so many connections, and returns how many resumed, and
// the length in bytes of a ClientHello's record.
func (c crowd) visit(addr string, each int) (resumed, hello int, err error) {
	var (
		visitors        sync.WaitGroup
		resumes, length atomic.Int64
		errs            = make([]error, len(c))
	)
	for i, cl := range c {
		visitors.Go(func() {
			for range each {
				again, size, err := visit(cl, addr)
				if err != nil {
					errs[i] = err
					return
				}
				if length.Store(int64(size)); again {
					resumes.Add(1)
				}
			}
		})
	}
	visitors.Wait()
	return int(resumes.Load()), int(length.Load()), errors.Join(errs...)
}
