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

// WriteHeader writes the header of an answer. It keeps net/http from guessing a
// Content-Type that the backend did not send. If the answer comes before the end of the
// request's body, it also keeps net/http from reading the rest without limit or treating
// it as the next request.
func (w *writer) WriteHeader(status int) {
	in, h := w.exchange.in, w.Header()
	switch {
	case status == http.StatusContinue: // the server sends its own when the body is read
		return
	case status < 200 && !in.ProtoAtLeast(1, 1): // HTTP/1.0 has no interim answers
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

// FlushError flushes the answer. It is for [http.ResponseController].
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

// Hijack hands over the connection for an upgrade. net/http has already cleared its
// deadlines.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := w.exchange.control.Hijack()
	if err != nil {
		return nil, nil, err
	}
	return w.exchange.upgrade(conn, buffered.Reader), buffered, nil
}
