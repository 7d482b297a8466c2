// Package interop tests Halfshake with other programs and libraries. It is never released.
//
// There are two kinds of tests. The command's tests (clients_test.go, kill_test.go) start "halfshake serve" and have real
// TLS clients resume with it: OpenSSL, Node, curl, GnuTLS, Java and wolfSSL, each run by a driver in package client. The
// library's tests (http_test.go, grpc_test.go, quic_test.go, http3_test.go) use a Cache with a real server library in this
// process.
//
// If a client is not installed, its tests are skipped, with a message that names the client's Debian package. If CI=true is
// set, they fail. HALFSHAKE_BIN names a command to test instead of the one in ../cmd/halfshake.
package interop
