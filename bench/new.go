package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// compareNew measures full handshakes, each of which makes a session, with a store
// and without.
func compareNew(dir string, e extent) error {
	for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
		title := "new sessions, " + tls.VersionName(version)
		var made forgetful
		clients := newCrowd(func() client {
			config := newConfig(version, nil)
			config.ClientSessionCache = &made
			return ticketClient{config}
		})
		if err := newSessions(title, dir, clients, &made, e); err != nil {
			return fmt.Errorf("%s: %w", title, err)
		}
	}
	return nil
}

// forgetful is a client's session cache that counts the sessions and keeps none. A
// client without a cache would not ask for a session, and no server would make one.
type forgetful struct{ made atomic.Int64 }

func (f *forgetful) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

func (f *forgetful) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		f.made.Add(1)
	}
}

func newSessions(title, dir string, clients crowd, made *forgetful, e extent) (err error) {
	kinds := []string{memoryKind, boltKind}
	children, stop, err := startAll(kinds, dir)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	results, err := rate(e.runs, len(kinds), func(i int) (rate, perOp float64, err error) {
		return measureNew(children[i], clients, made, e.handshakes)
	})
	if err == nil {
		reportRates(title, "handshakes/s", "handshake", kinds, results)
	}
	return err
}

// measureNew returns how many handshakes were made in a second, and the server's
// CPU time for each, in nanoseconds.
func measureNew(c *child, clients crowd, made *forgetful, handshakes int) (rate, perOp float64, err error) {
	var took time.Duration
	before := made.made.Load()
	spent, err := c.spends(func() error {
		begun := time.Now()
		defer func() { took = time.Since(begun) }()
		_, _, err := clients.visit(c.addr, handshakes/parallel)
		return err
	})
	if n := made.made.Load() - before; err == nil && n != int64(handshakes) {
		err = fmt.Errorf("%d handshakes made %d sessions", handshakes, n)
	}
	n := float64(handshakes)
	return n / took.Seconds(), float64(spent.cpu) / n, err
}
