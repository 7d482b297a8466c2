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
	// bodyGrace is how long the server reads the rest of a body after its answer is complete.
	bodyGrace = time.Second
)

// An exchange is one request and its answer.
type exchange struct {
	proxy      *HTTP
	in         *http.Request
	clientCert string // the value of Client-Cert; "" means no header
	cancel     context.CancelFunc
	control    *http.ResponseController

	// Owned by the handler's goroutine. body is set before the request is sent.
	body     *requestBody // nil if the request has no body
	backend  *backendConn // the connection used for the request; nil before that
	answered bool         // the answer's header has been written

	// The exchange sets deadlines only while holding mu and while over is false. After
	// that, the server sets them.
	mu       sync.Mutex
	over     bool
	upgraded net.Conn // set once the connection is upgraded; the handler then serves it until it ends
	idle     *idle    // for upgraded
}

// begin takes over the deadlines from the server.
func (x *exchange) begin() {
	x.limit(x.control.SetReadDeadline, 0)
	x.limit(x.control.SetWriteDeadline, 0)
}

// limit limits the client's time for the next read or write; 0 means no limit. Callers set
// a limit for each read or write and clear it afterwards, because HTTP/2 ends a stream at
// its deadline even if nothing waits for the client.
func (x *exchange) limit(set func(time.Time) error, d time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.over {
		_ = set(after(d)) // a closed connection needs no deadline
	}
}

// after returns the deadline d from now. If d is 0, it returns the zero Time: no deadline.
func after(d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}

// end returns the deadlines to the server, with a limit on the server's remaining work.
func (x *exchange) end() {
	if x.release() && x.answered {
		// The server would interrupt a Read by setting a deadline, and then clear it.
		_ = x.control.Flush()
		x.body.wait()
	}
}

// release ends the exchange's control of the deadlines. It reports whether the server has
// yet to read the rest of the body.
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

// unreadBody reports whether part of an HTTP/1 body is unread. The connection could be used
// again only after the whole body.
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
		ErrorLog:       x.proxy.discard, // answerBody logs the same failures, without quoting data
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
		// Unchanged, since nothing here interprets it.
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
		return errors.New("proxy: the backend switches protocols without being asked to") // ReverseProxy closes the connection
	}
	return nil
}

// fail answers a request for which the backend gave no answer.
func (x *exchange) fail(w http.ResponseWriter, _ *http.Request, err error) {
	switch cause := x.body.cause(); {
	case x.ended():
		panic(http.ErrAbortHandler) // net/http then ends the answer in a way that is visibly incomplete
	case errors.Is(cause, os.ErrDeadlineExceeded): // check before left: net/http also cancels the request then
		refusal{http.StatusRequestTimeout, "the rest of the request did not arrive"}.write(w)
	case x.left():
		panic(http.ErrAbortHandler)
	case cause != nil:
		refusal{http.StatusBadRequest, "the request's body is malformed"}.write(w)
	case isTimeout(err) && !isNetwork(err): // the backend received the request but does not answer
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

// left reports whether the client has left.
func (x *exchange) left() bool { return x.in.Context().Err() != nil }
