package main

import (
	"fmt"
	"os"
	"runtime"
)

// An extent is how much is measured.
type extent struct{ runs, handshakes int }

// compare makes every comparison and prints its table.
func compare(e extent) error {
	dir, err := os.MkdirTemp("", "halfshake-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cert, err := prepare(dir)
	if err != nil {
		return err
	}
	fmt.Printf("%s %s/%s, %d CPUs; interleaved runs, medians\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	for _, w := range resumptions(&cert) {
		if err := w.compare(dir, e); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	for _, c := range []func(string, extent) error{compareInMemory, compareNew, compareTransfer, compareSTime} {
		if err := c(dir, e); err != nil {
			return err
		}
	}
	return nil
}
