package halfshake_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/internal/testca"
)

// A server that verifies client certificates, and resumes: the client proves who
// it is once, and offers 32 bytes from then on.
func Example() {
	serverCA, clientCA := testca.Root("server CA", testca.ECDSA), testca.Root("client CA", testca.ECDSA)
	serverCert, clientRoots := serverCA.Server(), clientCA.Pool()
	alice := clientCA.Client("alice", time.Now().Add(time.Hour))
	listener, _ := net.Listen("tcp", "127.0.0.1:0")

	cache, _ := halfshake.New(halfshake.Config{Scope: "payments"})
	config, _ := cache.ServerConfig(&tls.Config{
		Certificates: []tls.Certificate{serverCert},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    clientRoots,
	})
	server := &http.Server{TLSConfig: config, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s, resumed: %v\n", r.TLS.PeerCertificates[0].Subject.CommonName, r.TLS.DidResume)
	})}
	go server.ServeTLS(listener, "", "")

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		RootCAs:            serverCA.Pool(),
		Certificates:       []tls.Certificate{alice},
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}}}
	for range 2 {
		answer, err := client.Get("https://" + listener.Addr().String())
		if err != nil {
			fmt.Println(err)
			return
		}
		text, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		fmt.Print(string(text))
	}
	server.Close()
	cache.Close()
	// Output:
	// hello alice, resumed: false
	// hello alice, resumed: true
}
