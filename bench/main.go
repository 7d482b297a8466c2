// Command bench measures what a resumed handshake costs a server with Halfshake,
// beside crypto/tls's own stateless tickets in the same run.
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
)

func main() {
	runs := flag.Int("runs", 100, "interleaved runs")
	handshakes := flag.Int("handshakes", 40, "resumed handshakes a server and run")
	flag.Parse()
	var err error
	if flag.Arg(0) == childArg {
		err = serveChild(flag.Arg(1), flag.Arg(2))
	} else {
		err = compare(*runs, *handshakes)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
