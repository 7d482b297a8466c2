// Randomness that stands still, for the handshakes in memory: see playback.
//
//go:debug cryptocustomrand=1

// Command bench measures what Halfshake costs a server, beside its peers in the
// same run: crypto/tls with its own stateless tickets, OpenSSL, nginx.
//
//	go run . [-runs 100] [-handshakes 40]
//
// Each server is a process of its own, so that its CPU time is all that it spent,
// the collection of garbage included. The runs of all servers are interleaved,
// because the machine may be shared and is certainly noisy; a ratio is taken
// within one run, and the median of the runs is printed. Many short runs do better than
// few long ones: what disturbs one server's part of a run disturbs the others' too.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
)

func main() {
	var e extent
	flag.IntVar(&e.runs, "runs", 100, "interleaved runs")
	flag.IntVar(&e.handshakes, "handshakes", 40, "handshakes a server and run")
	flag.Parse()
	var err error
	if flag.Arg(0) == childArg {
		err = serveChild(flag.Arg(1), flag.Arg(2))
	} else {
		err = compare(e)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// An extent is how much is measured.
type extent struct{ runs, handshakes int }

// compare makes every comparison and prints its table.
func compare(e extent) error {
	dir, err := os.MkdirTemp("", "halfshake-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	certs, err := prepare(dir)
	if err != nil {
		return err
	}
	fmt.Printf("%s %s/%s, %d CPUs; %d interleaved runs of %d handshakes, medians\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), e.runs, e.handshakes)
	for _, w := range resumptions(&certs.client) {
		if err := w.compare(dir, certs.roots, e); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	for _, c := range []func(string, certificates, extent) error{compareInMemory, compareNew, compareTransfer, compareSTime} {
		if err := c(dir, certs, e); err != nil {
			return err
		}
	}
	return nil
}
