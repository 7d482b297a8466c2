// Package conformance compares halfshake.Cache with OpenSSL's session cache. Only tests
// use it.
//
// A scenario (testdata/scenarios) is a text file with one command a line: connect a
// client, remove a session, advance the clock. A C program (testdata/libssl) runs it
// against libssl and prints what happens; that recording is kept under the version of
// libssl that made it. The test runs the same scenario against a Cache, over real
// handshakes and through each of its doors, and compares line by line. Where the two
// differ on purpose, the scenario says so below the command:
//
//	# What happens when New returns 0.
//	rows: 105
//	protocols: tls1.2 tls1.3
//
//	on new decline
//	connect alice
//	    differs: The manual page says that 0 removes the session; libssl keeps it.
//	        | new s1 number=1
//	        | full s1
//
// An unexplained difference fails the test, and so does an explanation for a difference
// that does not exist. [Parse] reads a scenario; its grammar is the list of usages in
// grammar.go.
//
// A scenario whose commands have changed, or a new libssl, needs a new recording:
//
//	go test ./internal/conformance -run TestLibssl -update
//
// Sessions are called s1, s2 and so on in the order in which their ids appear. number= is
// how many sessions the internal cache holds at that moment.
package conformance
