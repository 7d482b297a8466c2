package proxy

import (
	"bufio"
	"net"
	"net/http"
)

// A writer writes the answer to the client, with a time limit for each part.
type writer struct {
	http.ResponseWriter
	exchange *exchange
}

// Unwrap is for [http.ResponseController].
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader keeps net/http from guessing a Content-Type that the backend did not
// give, and from reading a body on and on, or taking it for the next request, when
// its answer comes first.
func (w *writer) WriteHeader(status int) {
	in, h := w.exchange.in, w.Header()
	switch {
	case status == http.StatusContinue: // the server sends it when the body is read, which the backend's has begun
		return
	case status < 200 && !in.ProtoAtLeast(1, 1): // which has no such answers
		return
	case status >= 200:
		if _, given := h["Content-Type"]; !given {
			h["Content-Type"] = nil
		}
		if w.exchange.unreadBody() {
			h.Set("Connection", "close")
		}
		w.exchange.answered = true
	}
	w.timed(func() { w.ResponseWriter.WriteHeader(status) })
}

func (w *writer) Write(p []byte) (n int, err error) {
	w.timed(func() { n, err = w.ResponseWriter.Write(p) })
	return n, err
}

// FlushError is Flush, for [http.ResponseController].
func (w *writer) FlushError() (err error) {
	w.timed(func() { err = w.exchange.control.Flush() })
	return err
}

func (w *writer) timed(write func()) {
	x := w.exchange
	x.limit(x.control.SetWriteDeadline, x.proxy.write)
	write()
	x.limit(x.control.SetWriteDeadline, 0)
}

// Hijack hands the connection over, for an upgrade. net/http has cleared its
// deadlines.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := w.exchange.control.Hijack()
	if err != nil {
		return nil, nil, err
	}
	return w.exchange.upgrade(conn, buffered.Reader), buffered, nil
}
