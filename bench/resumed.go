package main

import (
	"errors"
	"fmt"
	"slices"
)

// compare makes resumed handshakes with every server, and prints a table. The servers
// are started anew for each run: two processes of one program can differ by some
// hundredths for as long as they live.
func (w workload) compare(dir string, e extent) error {
	results := make([]result, len(w.contenders))
	for run := range e.runs {
		if err := w.run(dir, run, e.handshakes, results); err != nil {
			return err
		}
	}
	reportResumed(w.name, e.handshakes, w.names(), results)
	return nil
}

// A result is what one server cost under one workload, by run.
type result struct {
	perOp  []float64 // nanoseconds of the server's CPU for a handshake
	allocs []float64 // objects allocated for it
	hello  int       // bytes of the resuming ClientHello
}

// add adds a run.
func (r *result) add(spent usage, handshakes int) {
	r.perOp = append(r.perOp, float64(spent.cpu)/float64(handshakes))
	r.allocs = append(r.allocs, float64(spent.allocs)/float64(handshakes))
}

// Before the handshakes that count, one is made for every warmUp of them.
const warmUp = 4

// run starts servers, and adds a run of each to the results; each time it begins with
// another one.
func (w workload) run(dir string, run, handshakes int, results []result) (err error) {
	children, stop, err := startAll(w.kinds(), dir)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	for i := range children {
		i = (i + run) % len(children)
		clients := newCrowd(w.contenders[i].newClient)
		if _, _, err := clients.visit(children[i].addr, 1+handshakes/parallel/warmUp); err != nil {
			return fmt.Errorf("%s: %w", w.contenders[i].name, err)
		}
		spent, hello, err := measure(children[i], clients, handshakes)
		if err != nil {
			return fmt.Errorf("%s: %w", w.contenders[i].name, err)
		}
		results[i].hello = hello
		results[i].add(spent, handshakes)
	}
	return nil
}

func (w workload) names() (names []string) {
	for _, c := range w.contenders {
		names = append(names, c.name)
	}
	return names
}

func (w workload) kinds() (kinds []string) {
	for _, c := range w.contenders {
		kinds = append(kinds, c.kind)
	}
	return kinds
}

// measure makes resumed handshakes and returns what they cost the server.
func measure(server *child, clients crowd, handshakes int) (spent usage, hello int, err error) {
	spent, err = server.spends(func() error {
		resumed := 0
		resumed, hello, err = clients.visit(server.addr, handshakes/parallel)
		if err == nil && resumed != handshakes {
			err = errNotResumed
		}
		return err
	})
	return spent, hello, err
}

var errNotResumed = errors.New("a connection was not resumed")

// reportResumed prints the medians, and the median of the ratios to the first
// server's run.
func reportResumed(title string, handshakes int, names []string, results []result) {
	fmt.Printf("\nresumed handshakes, %s; %d runs of %d\n%-24s %10s %8s %12s %20s\n", title, len(results[0].perOp), handshakes, "server", "CPU µs", "ratio", "allocations", "ClientHello bytes")
	for i, r := range results {
		fmt.Printf("%-24s %10.1f %8.3f %12.0f %20d\n", names[i],
			median(r.perOp)/1e3, median(ratios(r.perOp, results[0].perOp)), median(r.allocs), r.hello)
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// ratios divides run by run.
func ratios(values, peer []float64) []float64 {
	quotients := make([]float64, len(values))
	for i := range values {
		quotients[i] = values[i] / peer[i]
	}
	return quotients
}
