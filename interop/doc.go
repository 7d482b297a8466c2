// Package interop holds the tests of Halfshake against programs and libraries that others wrote. It is never released.
//
// Two kinds of test live here. The command's tests (clients_test.go, kill_test.go) start "halfshake serve" and let real TLS clients
// resume against it: OpenSSL, Node, curl, GnuTLS, Java and wolfSSL, each run by a driver in package client. The library's tests
// (http_test.go, grpc_test.go, quic_test.go, http3_test.go) put a Cache under a real server library in this process.
//
// A client that is not installed skips its tests, with the name of the Debian package that has it; where the
// environment says CI=true it fails them. HALFSHAKE_BIN names a command to test in place of the one in ../cmd/halfshake.
package interop
