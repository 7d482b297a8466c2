package proxy

import (
	"io"
	"net/http"
	"sync"
)

// A requestBody is what the client sends, read by a goroutine of net/http that may
// outlive the exchange.
type requestBody struct {
	io.ReadCloser
	exchange *exchange
	trailer  http.Header // of the request to the backend: the names that may have values

	reading sync.Mutex // while a Read is under way

	mu  sync.Mutex
	err error // with which reading ended
}

// Read gives the client its time for each part. After the end it does not ask the
// server's body again, which may be closed by then: net/http's transport, looking
// for more than the length it was told, would take that for a failure.
func (b *requestBody) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.ended() {
		return 0, io.EOF
	}
	x := b.exchange
	x.limit(x.control.SetReadDeadline, x.proxy.stall)
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		x.limit(x.control.SetReadDeadline, 0)
		return n, nil
	}
	if err == io.EOF {
		b.copyTrailer()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
	return n, err
}

// wait returns when no Read is under way.
func (b *requestBody) wait() {
	if b != nil {
		b.reading.Lock()
		defer b.reading.Unlock()
	}
}

// copyTrailer passes on what net/http leaves in the client's request alone.
func (b *requestBody) copyTrailer() {
	for name := range b.trailer {
		b.trailer[name] = b.exchange.in.Trailer[name]
	}
}

// ended reports whether the whole body has been read.
func (b *requestBody) ended() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err == io.EOF
}

// cause is why it could not be.
func (b *requestBody) cause() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == io.EOF {
		return nil
	}
	return b.err
}

// An answerBody is what the backend sends.
type answerBody struct {
	io.ReadCloser
	exchange *exchange
}

// Read logs it when the backend, and not the client, breaks off.
func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && !b.exchange.ended() && !b.exchange.left() {
		b.exchange.proxy.warnings.warn("the backend's answer broke off", reason(err))
	}
	return n, err
}
