package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// compareNew measures full handshakes, each of which makes a session, with a store
// and without.
func compareNew(dir string, certs certificates, e extent) error {
	for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
		config := newConfig(certs.roots, version, nil)
		config.ClientSessionCache = nil
		title := "new sessions, " + tls.VersionName(version)
		if err := newSessions(title, dir, newCrowd(func() client { return ticketClient{config} }), e); err != nil {
			return fmt.Errorf("%s: %w", title, err)
		}
	}
	return nil
}

func newSessions(title, dir string, clients crowd, e extent) (err error) {
	kinds := []string{memoryKind, boltKind}
	children, stop, err := startAll(kinds, dir)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	results, err := interleave(e.runs, len(kinds), func(i int) (rate, perOp float64, err error) {
		return measureNew(children[i], clients, e.handshakes)
	})
	if err == nil {
		reportRates(title, "handshakes/s", "handshake", kinds, results)
	}
	return err
}

// measureNew returns how many handshakes were made in a second, and the server's
// CPU time for each, in nanoseconds.
func measureNew(c *child, clients crowd, handshakes int) (rate, perOp float64, err error) {
	var took time.Duration
	spent, err := c.spends(func() error {
		begun := time.Now()
		defer func() { took = time.Since(begun) }()
		_, _, err := clients.visit(c.addr, handshakes/parallel)
		return err
	})
	n := float64(handshakes)
	return n / took.Seconds(), float64(spent.cpu) / n, err
}
