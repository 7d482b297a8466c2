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
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/halfshake/halfshake/internal/testsecrets"
)

const limit = 20 * time.Second // for each request

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

// request makes one request and waits for the connection's session.
func request(config *tls.Config, method, url string, put <-chan struct{}) error {
	transport := &http3.Transport{TLSClientConfig: config}
	defer transport.Close()
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: transport, Timeout: limit}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the answer is %s", response.Status)
	}
	select {
	case <-put:
		return nil
	case <-time.After(limit):
		return errors.New("the server gave the client no session")
	}
}

// notifyingCache says when it gets a session.
type notifyingCache struct {
	tls.ClientSessionCache
	put chan struct{}
}

func (c notifyingCache) Put(key string, session *tls.ClientSessionState) {
	c.ClientSessionCache.Put(key, session)
	if session != nil {
		c.put <- struct{}{}
	}
}
