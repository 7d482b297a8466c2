// Command secretscan searches the output of a test run for the session ids
// and secrets that were made in it.
//
// Tests record the values with internal/testsecrets, in DIR/secrets. Every
// other file under DIR is searched for them in the forms in which a program
// is likely to print bytes: raw, hexadecimal, a hex dump, base64, a list of
// numbers, and an escaped string.
package main

import (
	"fmt"
	"io"
	"os"
)

// maxReported bounds the lines printed for one run; the rest are counted.
const maxReported = 50

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: secretscan DIR")
		os.Exit(2)
	}
	os.Exit(run(os.Args[1], os.Stdout, os.Stderr))
}

// run searches dir and returns the exit code: 0 only if there was something
// to look for, something to look in, and nothing found.
func run(dir string, stdout, stderr io.Writer) int {
	values, err := readValues(dir)
	if err != nil {
		fmt.Fprintln(stderr, "secretscan:", err)
		return 1
	}
	result, err := searchTree(dir, newIndex(values))
	if err != nil {
		fmt.Fprintln(stderr, "secretscan:", err)
		return 1
	}
	if result.found > 0 {
		for _, f := range result.finds {
			fmt.Fprintf(stderr, "secretscan: %s:%d: a recorded value, %s\n", f.file, f.line, f.form)
		}
		fmt.Fprintf(stderr, "secretscan: %d finds; redact what is printed there\n", result.found)
		return 1
	}
	fmt.Fprintf(stdout, "searched %d values in %d files, %d bytes: none found\n", len(values), result.files, result.bytes)
	return 0
}
