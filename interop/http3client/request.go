package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/quic-go/quic-go/http3"
)

const limit = 20 * time.Second // for each request

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
