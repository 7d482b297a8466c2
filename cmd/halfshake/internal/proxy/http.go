package proxy

import (
	"context"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// HTTPOptions configure an [HTTP]. For each duration, zero means the default, and a
// negative value means no limit.
type HTTPOptions struct {
	// ClientCert passes verified client certificates on to the backend in Client-Cert
	// (RFC 9440). Otherwise the backend gets no client certificates.
	ClientCert bool

	// DialTimeout is how long connecting to the backend may take. The default is 5 s.
	DialTimeout time.Duration
	// ResponseTimeout is how long the backend may take to begin its answer after it has
	// the whole request. The default is 30 s.
	ResponseTimeout time.Duration
	// StallTimeout is how long a client may pause while sending a body. The default is
	// 30 s. The whole body may take any time.
	StallTimeout time.Duration
	// WriteTimeout is how long a client may pause while reading an answer. The default
	// is 5 minutes. The whole answer may take any time. WriteTimeout is longer than
	// StallTimeout because reading becomes visible late: a client that reads 2 KB/s takes
	// a minute and a half to empty its kernel's buffer, which accepts nothing meanwhile.
	WriteTimeout time.Duration
	// IdleTimeout is how long a WebSocket may be idle in both directions before it is
	// closed. The default is an hour.
	IdleTimeout time.Duration

	// Log receives the backend's failures, at most one line a second. Nil disables logging.
	Log *slog.Logger
}

const (
	defaultDialTimeout     = 5 * time.Second
	defaultResponseTimeout = 30 * time.Second
	defaultStallTimeout    = 30 * time.Second
	defaultWriteTimeout    = 5 * time.Minute
	defaultIdleTimeout     = time.Hour
)

// choose returns the effective value of a duration in the options; 0 means no limit.
func choose(given, byDefault time.Duration) time.Duration {
	if given == 0 {
		return byDefault
	}
	return max(given, 0)
}

// An HTTP is a handler that passes requests on to a backend. Use it with an http.Server
// whose connections are TLS: it refuses a request whose TLS field is nil. It manages the
// deadlines of connections itself, so the server's ReadTimeout and WriteTimeout do not
// apply to its requests.
type HTTP struct {
	options   HTTPOptions
	address   string
	transport *http.Transport
	warnings  *warnings
	discard   *log.Logger
	buffers   buffers
	stall     time.Duration
	write     time.Duration
	idle      time.Duration

	running group // of exchanges
}

// NewHTTP returns a handler that passes requests on to target.
func NewHTTP(target Target, options HTTPOptions) *HTTP {
	return &HTTP{
		options: options, address: target.Address,
		transport: newTransport(options),
		warnings:  newWarnings(options.Log, target),
		discard:   log.New(io.Discard, "", 0),
		stall:     choose(options.StallTimeout, defaultStallTimeout),
		write:     choose(options.WriteTimeout, defaultWriteTimeout),
		idle:      choose(options.IdleTimeout, defaultIdleTimeout),
	}
}

// newTransport returns the transport to the backend. It may send any request over a kept
// connection. If that connection turns out to be dead before any of the answer arrives,
// net/http retries on another one, but only if the request has no body and is a GET, HEAD,
// OPTIONS or TRACE or has an Idempotency-Key. Other requests are answered with 502. No
// request is retried once part of an answer has arrived.
func newTransport(options HTTPOptions) *http.Transport {
	dialer := &net.Dialer{Timeout: choose(options.DialTimeout, defaultDialTimeout)}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                 nil, // ignore the environment
		DialContext:           dialBackend(dialer),
		Protocols:             protocols,
		ResponseHeaderTimeout: choose(options.ResponseTimeout, defaultResponseTimeout),
		ExpectContinueTimeout: time.Second, // as clients wait for a 100
		MaxIdleConnsPerHost:   256,
		// Less than the five seconds after which Node.js, Apache and others close idle
		// connections: a POST that crosses such a close is lost.
		IdleConnTimeout:        4 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true, // the client's Accept-Encoding is the backend's business
		ReadBufferSize:         bufferSize,
	}
}

// ServeHTTP passes r on to the backend.
func (h *HTTP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	cert, refused := h.inspect(r)
	if refused != nil {
		refused.write(w)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	x := &exchange{proxy: h, in: r, clientCert: cert, cancel: cancel, control: http.NewResponseController(w)}
	leave, ok := h.running.enter(x.cut)
	if !ok {
		refusal{http.StatusServiceUnavailable, "this server is stopping"}.write(w)
		return
	}
	defer leave()
	defer x.end()
	x.begin()
	x.reverseProxy().ServeHTTP(&writer{ResponseWriter: w, exchange: x}, r.WithContext(x.traced(ctx)))
}

// Drain waits for open requests and for WebSockets, which http.Server.Shutdown does not
// track. When ctx ends, it cuts off those that are left and returns the context's error.
// New requests are refused. After Drain, no goroutine of the proxy runs.
//
// Call Drain after the server's Shutdown and, if that failed, its Close. Otherwise a client
// that does not read can delay Drain for five seconds, the time that crypto/tls allows for
// sending a close_notify.
func (h *HTTP) Drain(ctx context.Context) error {
	defer h.transport.CloseIdleConnections()
	return h.running.drain(ctx)
}
