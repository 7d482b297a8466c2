package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
)

// generations is how often the servers of a workload are started anew: two
// processes of one program can differ by some hundredths for as long as they live.
const generations = 5

// compare runs every workload against every kind of server and prints a table
// for each workload.
func compare(runs, handshakes int) error {
	dir, err := os.MkdirTemp("", "halfshake-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	workloads, roots, err := prepare(dir)
	if err != nil {
		return err
	}
	fmt.Printf("%s %s/%s, %d CPUs; %d interleaved runs of %d resumed handshakes, medians\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runs, handshakes)
	for _, w := range workloads {
		var results []result
		for range generations {
			more, err := w.compare(dir, roots, max(runs/generations, 1), handshakes)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			results = merge(results, more)
		}
		report(w, results)
	}
	for _, w := range workloads[:2] {
		if err := w.compareNew(dir, roots, runs, handshakes); err != nil {
			return fmt.Errorf("new sessions, %s: %w", w.name, err)
		}
	}
	return nil
}

// compare runs one workload against fresh servers of every kind, so that no
// server's heap has what another workload left there.
func (w workload) compare(dir string, roots *x509.CertPool, runs, handshakes int) (results []result, err error) {
	var children []*child
	defer func() {
		for _, c := range children {
			err = errors.Join(err, c.stop())
		}
	}()
	for _, kind := range kinds {
		c, err := start(kind, dir)
		if err != nil {
			return nil, fmt.Errorf("server %s: %w", kind, err)
		}
		children = append(children, c)
	}
	return w.run(children, roots, runs, handshakes)
}

// A result is what one server cost under one workload.
type result struct {
	kind  string
	perOp []float64 // nanoseconds of the server's CPU a handshake, by run
	hello int       // bytes of the resuming ClientHello
}

// merge adds the runs of another generation.
func merge(results, more []result) []result {
	if results == nil {
		return more
	}
	for i := range results {
		results[i].perOp = append(results[i].perOp, more[i].perOp...)
	}
	return results
}

func (w workload) run(children []*child, roots *x509.CertPool, runs, handshakes int) ([]result, error) {
	results := make([]result, len(children))
	configs := make([]*tls.Config, len(children))
	for i, c := range children {
		results[i].kind, configs[i] = c.kind, w.clientConfig(roots)
		if _, _, err := visit(c.addr, configs[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", c.kind, err)
		}
	}
	for run := range runs + 1 { // the first warms up
		for i := range children {
			at := (i + run) % len(children)
			ns, hello, err := measure(children[at], configs[at], handshakes)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", children[at].kind, err)
			}
			if results[at].hello = hello; run > 0 {
				results[at].perOp = append(results[at].perOp, ns)
			}
		}
	}
	return results, nil
}

var errNotResumed = errors.New("a connection was not resumed")

// measure makes resumed handshakes and returns the server's CPU time for each.
func measure(c *child, config *tls.Config, handshakes int) (perOp float64, hello int, err error) {
	before, err := c.cpu()
	if err != nil {
		return 0, 0, err
	}
	for range handshakes {
		resumed, n, err := visit(c.addr, config)
		if err != nil {
			return 0, 0, err
		}
		if !resumed {
			return 0, 0, errNotResumed
		}
		hello = n
	}
	after, err := c.cpu()
	return float64(after-before) / float64(handshakes), hello, err
}

// report prints the medians, and the median of the ratios to the peer's run.
func report(w workload, results []result) {
	fmt.Printf("\n%s\n%-20s %14s %10s %20s\n", w.name, "server", "CPU µs/resume", "ratio", "ClientHello bytes")
	for _, r := range results {
		fmt.Printf("%-20s %14.1f %10.3f %20d\n", r.kind, median(r.perOp)/1e3, median(ratios(r.perOp, results[0].perOp)), r.hello)
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
