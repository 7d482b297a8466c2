package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"
)

// parallel is how many clients make new sessions at a time.
const parallel = 4

// compareNew prints how many new handshakes a second servers take, each of which
// makes a session, by the clock and by the server's CPU time.
func (w workload) compareNew(dir string, roots *x509.CertPool, runs, handshakes int) (err error) {
	var children []*child
	defer func() {
		for _, c := range children {
			err = errors.Join(err, c.stop())
		}
	}()
	kinds := []string{memoryKind, boltKind}
	for _, kind := range kinds {
		c, err := start(kind, dir)
		if err != nil {
			return fmt.Errorf("server %s: %w", kind, err)
		}
		children = append(children, c)
	}
	rates, perOp := make([][]float64, len(kinds)), make([][]float64, len(kinds))
	for run := range runs + 1 { // the first warms up
		for i := range children {
			at := (i + run) % len(children)
			rate, ns, err := measureNew(children[at], w.clientConfig(roots), handshakes)
			if err != nil {
				return fmt.Errorf("%s: %w", kinds[at], err)
			}
			if run > 0 {
				rates[at], perOp[at] = append(rates[at], rate), append(perOp[at], ns)
			}
		}
	}
	fmt.Printf("\nnew sessions, %s\n%-20s %14s %10s %14s %10s\n", w.name, "server", "handshakes/s", "ratio", "CPU µs", "ratio")
	for i, kind := range kinds {
		fmt.Printf("%-20s %14.0f %10.3f %14.1f %10.3f\n", kind, median(rates[i]), median(ratios(rates[i], rates[0])),
			median(perOp[i])/1e3, median(ratios(perOp[i], perOp[0])))
	}
	return nil
}

// ratios divides run by run.
func ratios(values, by []float64) []float64 {
	out := make([]float64, len(values))
	for i := range values {
		out[i] = values[i] / by[i]
	}
	return out
}

// measureNew makes full handshakes and returns how many were made in a second, and
// the server's CPU time for each, in nanoseconds.
func measureNew(c *child, config *tls.Config, handshakes int) (rate, perOp float64, err error) {
	before, err := c.cpu()
	if err != nil {
		return 0, 0, err
	}
	begun := time.Now()
	var clients sync.WaitGroup
	errs := make([]error, parallel)
	for i := range parallel {
		clients.Go(func() {
			full := config.Clone()
			full.ClientSessionCache = nil
			for range handshakes / parallel {
				if _, _, err := visit(c.addr, full); err != nil {
					errs[i] = err
					return
				}
			}
		})
	}
	clients.Wait()
	took := time.Since(begun)
	after, err := c.cpu()
	n := float64(handshakes / parallel * parallel)
	return n / took.Seconds(), float64(after-before) / n, errors.Join(append(errs, err)...)
}
