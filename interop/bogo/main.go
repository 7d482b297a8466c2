// Command bogo lets BoringSSL's test suite for TLS, BoGo, drive package tls12.
//
// BoGo is a program, the runner, which plays a TLS peer with one fault at a time.
// For each of its tests it starts a shim, tells it by flags which side to be and
// what to expect, and judges by what it sees on the connection and by the shim's
// exit status. This command is that shim; "bogo report" afterwards counts what the
// runner wrote down. Neither contains anything of BoringSSL's.
//
// The engine is TLS 1.2 alone, so much of the suite does not concern it. A test is
// skipped only for a reason that belongs to one of the classes in class.go: because
// of a flag (declined.go) or because of its name (bogo.json). Each skip is recorded
// with its class and sentence, and a skip without them fails the report.
//
// scripts/bogo.sh runs all of it.
package main

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
)

// The exit statuses that the runner knows.
const (
	exitOK            = 0
	exitFailed        = 1  // the connection failed, which may be what the test wants
	exitUnimplemented = 89 // the test is skipped
	exitBroken        = 90 // the test has failed, even if it wants a failure
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "report" {
		os.Exit(reportMain(os.Args[2:], os.Stdout, os.Stderr))
	}
	os.Exit(shim(os.Args[1:], os.Stdout, os.Stderr))
}

func shim(args []string, stdout, stderr io.Writer) (status int) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(stderr, "panic: %v\n%s", r, debug.Stack())
			status = exitBroken
		}
	}()
	if slices.Contains(args, "-is-handshaker-supported") {
		fmt.Fprintln(stdout, "No") // that is a second process which only BoringSSL can have
		return exitOK
	}
	return newInvocation(args).run(stderr)
}
