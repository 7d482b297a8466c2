// Command bogo lets BoringSSL's test suite for TLS, BoGo, drive package tls12.
//
// BoGo has a program, the runner, which acts as a TLS peer with one fault at a time. For
// each test it starts a shim, with flags that say which side to be and what to expect. It
// judges by what it sees on the connection and by the shim's exit status. This command is
// that shim. "bogo report" then counts the runner's results. Neither contains code from
// BoringSSL.
//
// The engine supports only TLS 1.2, so much of the suite does not apply to it. A test is
// skipped only because of a flag (declined.go) or because of its name (bogo.json), for a
// reason in one of the classes in class.go. Each skip is recorded with its class and
// sentence, and a skip without them fails the report.
//
// scripts/bogo.sh runs the suite and the report.
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
	exitBroken        = 90 // the test has failed, even if it expects a failure
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
		fmt.Fprintln(stdout, "No") // no support for a second process, which only BoringSSL has
		return exitOK
	}
	return newInvocation(args).run(stderr)
}
