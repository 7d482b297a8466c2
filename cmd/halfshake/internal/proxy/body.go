package proxy

import (
	"io"
	"net/http"
	"sync"
)

// A requestBody is the client's body. A goroutine of net/http reads it and may outlive the
// exchange.
type requestBody struct {
	io.ReadCloser
	exchange *exchange
	trailer  http.Header // of the request to the backend; lists the allowed names

	reading sync.Mutex // held during a Read

	mu  sync.Mutex
	err error // the error that ended reading
}

// Read limits the time that the client may take for each part. After the end of the body,
// it does not read the server's body again, which may be closed by then. net/http's
// transport checks for data beyond the announced length, and would treat an error as a
// failure.
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

// wait returns when no Read is in progress.
func (b *requestBody) wait() {
	if b != nil {
		b.reading.Lock()
		defer b.reading.Unlock()
	}
}

// copyTrailer passes on the trailer, which net/http puts only into the client's request.
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

// cause returns the error that kept the body from being read, or nil.
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

// An answerBody is the body of the backend's answer.
type answerBody struct {
	io.ReadCloser
	exchange *exchange
}

// Read logs an error if the backend, rather than the client, breaks off.
func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && !b.exchange.ended() && !b.exchange.left() {
		b.exchange.proxy.warnings.warn("the backend's answer broke off", reason(err))
	}
	return n, err
}
