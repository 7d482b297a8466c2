// Command http3client makes requests over HTTP/3 with an http3.Transport at its defaults, each on a connection of its
// own, and keeps the sessions that it is given. The interop tests run it as a process because the race detector, which
// they have, finds races in quic-go's client when that sends early data (handleTransportParameters and
// newFlowController).
//
//	http3client -roots FILE -name SERVER-NAME [-method GET|GET_0RTT]
//
// It reads URLs from its standard input, a line each, and answers each with a line: "ok", or what went wrong.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net/http"
	"os"

	"github.com/halfshake/halfshake/internal/testsecrets"
)

func main() {
	roots := flag.String("roots", "", "PEM file of the certificate authorities")
	name := flag.String("name", "", "server name")
	method := flag.String("method", http.MethodGet, "GET, or GET_0RTT for a request that may be early data")
	flag.Parse()
	pem, err := os.ReadFile(*roots)
	if err != nil {
		fmt.Fprintln(os.Stderr, "http3client:", err)
		os.Exit(1)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	sessions := notifyingCache{tls.NewLRUClientSessionCache(0), make(chan struct{}, 16)}
	config := &tls.Config{
		RootCAs: pool, ServerName: *name, ClientSessionCache: sessions, KeyLogWriter: testsecrets.KeyLog(),
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if err := request(config, *method, lines.Text(), sessions.put); err != nil {
			fmt.Printf("%q\n", err.Error())
		} else {
			fmt.Println("ok")
		}
	}
}
