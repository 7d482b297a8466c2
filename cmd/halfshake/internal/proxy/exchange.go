package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// flushEvery is how long a part of an answer may wait for more. An answer of unknown
	// length, or of type text/event-stream, does not wait.
	flushEvery = 100 * time.Millisecond
	// bodyGrace is how long the rest of a body is read when its answer is complete.
	bodyGrace = time.Second
)

// An exchange is one request on its way, and its answer.
type exchange struct {
	proxy      *HTTP
	in         *http.Request
	clientCert string // the value of Client-Cert, "" for none
	cancel     context.CancelFunc
	control    *http.ResponseController

	// Of the handler's goroutine; the body is set before the request is sent.
	body     *requestBody // nil for none
	backend  *backendConn // that the request was sent over, once there is one
	answered bool         // the answer's header has been written

	// Deadlines are set under mu and not after over: they are then the server's.
	mu       sync.Mutex
	over     bool
	upgraded net.Conn // with its handler as long as it lives
	idle     *idle    // of upgraded
}

// begin takes the deadlines over from the server.
func (x *exchange) begin() {
	x.limit(x.control.SetReadDeadline, 0)
	x.limit(x.control.SetWriteDeadline, 0)
}

// limit gives the client so much time for what comes next; 0 is no limit. It is
// for one read or write at a time: HTTP/2 ends a stream at its deadline even if
// nothing waits for the client.
func (x *exchange) limit(set func(time.Time) error, d time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.over {
		_ = set(after(d)) // a connection that has gone needs none
	}
}

// after is the deadline at which d ends; 0 never does.
func after(d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}

// end gives the deadlines back, with a limit on what the server has yet to do.
func (x *exchange) end() {
	if x.release() && x.answered {
		// The server would end a Read by a deadline of its own, and take that away.
		_ = x.control.Flush()
		x.body.wait()
	}
}

// release reports whether the server has yet to read on.
func (x *exchange) release() (unread bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.idle.stop()
	if x.over || x.upgraded != nil {
		x.over = true
		return false
	}
	x.over = true
	if unread = x.unreadBody(); unread {
		_ = x.control.SetReadDeadline(after(bodyGrace))
	}
	_ = x.control.SetWriteDeadline(after(x.proxy.write))
	return unread
}

// cut makes ServeHTTP return soon, with the answer visibly incomplete.
func (x *exchange) cut() {
	x.cancel()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.upgraded != nil {
		abort(x.upgraded)
	} else if !x.over {
		_ = x.control.SetReadDeadline(after(-time.Second))
		_ = x.control.SetWriteDeadline(after(-time.Second))
	}
	x.over = true
}

// unreadBody reports whether the client has yet to send a part of an HTTP/1 body,
// after which alone the connection could be used again.
func (x *exchange) unreadBody() bool {
	return x.in.ProtoMajor == 1 && x.in.ContentLength != 0 && !x.body.ended()
}

func (x *exchange) reverseProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        x.rewrite,
		Transport:      x.proxy.transport,
		FlushInterval:  flushEvery,
		BufferPool:     &x.proxy.buffers,
		ErrorHandler:   x.fail,
		ErrorLog:       x.proxy.discard, // answerBody logs the same, without what is in it
		ModifyResponse: x.receive,
	}
}

// rewrite turns the client's request into the backend's. The hop-by-hop headers and those
// that Connection names are already gone. Host is the client's.
func (x *exchange) rewrite(p *httputil.ProxyRequest) {
	in, out := p.In, p.Out
	out.URL = &url.URL{
		Scheme: "http", Host: x.proxy.address,
		Path: in.URL.Path, RawPath: in.URL.RawPath,
		// As it came, since nothing here looks into it.
		RawQuery: in.URL.RawQuery, ForceQuery: in.URL.ForceQuery,
	}
	if !isWebSocket(in) {
		out.Header.Del("Connection")
		out.Header.Del("Upgrade")
	}
	strip(out.Header)
	strip(out.Trailer)
	setForwarded(out.Header, in)
	if x.clientCert != "" {
		out.Header.Set("Client-Cert", x.clientCert)
	}
	if out.Body != nil {
		x.body = &requestBody{ReadCloser: out.Body, exchange: x, trailer: out.Trailer}
		out.Body = x.body
	}
}

// receive checks and adjusts the answer's header.
func (x *exchange) receive(r *http.Response) error {
	x.removeNamed(r)
	if r.StatusCode != http.StatusSwitchingProtocols {
		r.Body = &answerBody{ReadCloser: r.Body, exchange: x}
		return nil
	}
	if !isWebSocket(x.in) || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return errors.New("proxy: the backend changes the protocol unasked") // ReverseProxy closes the connection
	}
	return nil
}

// fail answers a request that has no answer.
func (x *exchange) fail(w http.ResponseWriter, _ *http.Request, err error) {
	switch cause := x.body.cause(); {
	case x.ended():
		panic(http.ErrAbortHandler) // which net/http makes an end that is visibly none
	case errors.Is(cause, os.ErrDeadlineExceeded): // for net/http the client has then left
		refusal{http.StatusRequestTimeout, "the rest of the request did not arrive"}.write(w)
	case x.left():
		panic(http.ErrAbortHandler)
	case cause != nil:
		refusal{http.StatusBadRequest, "the request's body is malformed"}.write(w)
	case isTimeout(err) && !isNetwork(err): // the backend has the request and does not answer
		x.proxy.warnings.warn("the backend is too slow", reason(err))
		refusal{http.StatusGatewayTimeout, "the server behind this one does not answer in time"}.write(w)
	default:
		x.proxy.warnings.warn("the backend fails", reason(err))
		refusal{http.StatusBadGateway, "the server behind this one does not answer properly"}.write(w)
	}
}

// ended reports whether no answer is due: Drain is cutting the exchange off, or the
// connection is no longer HTTP.
func (x *exchange) ended() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.over || x.upgraded != nil
}

// left reports whether the client has.
func (x *exchange) left() bool { return x.in.Context().Err() != nil }
