// Randomness that stands still, for the handshakes in memory: see playback.
//
//go:debug cryptocustomrand=1

// Command bench measures what Halfshake costs a server, beside its peers in the
// same run: crypto/tls with its own stateless tickets, OpenSSL, nginx.
//
//	go run . [-runs 50] [-handshakes 320]
//
// Each server but those in memory is a process of its own, so that its CPU time is all
// that it spent, the collection of garbage included. The runs of all servers are interleaved,
// because the machine may be shared and is certainly noisy; a ratio is taken
// within one run, and the median of the runs is printed. Many short runs do better than
// few long ones: what disturbs one server's part of a run disturbs the others' too. But
// a store commits at the end of each, so that a run should not be much shorter than the
// half second for which it gathers what to commit.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	var e extent
	flag.IntVar(&e.runs, "runs", 50, "interleaved runs")
	flag.IntVar(&e.handshakes, "handshakes", 320, "handshakes a server and run")
	flag.Parse()
	e = extent{max(e.runs, 1), max(e.handshakes/parallel, 1) * parallel}
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
