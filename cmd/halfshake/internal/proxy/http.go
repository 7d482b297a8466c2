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

// HTTPOptions adjust an [HTTP]. Of each duration, zero means the default, and less
// than zero means no limit.
type HTTPOptions struct {
	// ClientCert says that clients may have certificates: the backend is then told
	// of each that was verified, in Client-Cert (RFC 9440). Without it the backend
	// is told of none.
	ClientCert bool

	// DialTimeout is how long connecting to the backend may take. Default: 5 s.
	DialTimeout time.Duration
	// ResponseTimeout is how long the backend may take, after it has the whole
	// request, until it begins its answer; 30 s.
	ResponseTimeout time.Duration
	// StallTimeout is how long a client may send nothing of a body that is due; 30 s.
	// The whole body may take any time.
	StallTimeout time.Duration
	// WriteTimeout is how long a client may accept nothing of an answer; 5 minutes. The
	// whole answer may take any time. WriteTimeout is longer than StallTimeout because the
	// client's reading becomes visible late: a client that reads 2 KB/s takes a minute and
	// a half for one buffer of its kernel, which accepts nothing meanwhile.
	WriteTimeout time.Duration
	// IdleTimeout ends a WebSocket over which nothing has come from either side for
	// so long; an hour.
	IdleTimeout time.Duration

	// Log gets the backend's failures, at most one line a second. Nil means none.
	Log *slog.Logger
}

const (
	defaultDialTimeout     = 5 * time.Second
	defaultResponseTimeout = 30 * time.Second
	defaultStallTimeout    = 30 * time.Second
	defaultWriteTimeout    = 5 * time.Minute
	defaultIdleTimeout     = time.Hour
)

// choose returns what a duration of the options means; 0 is no limit.
func choose(given, byDefault time.Duration) time.Duration {
	if given == 0 {
		return byDefault
	}
	return max(given, 0)
}

// An HTTP passes requests on to a backend. It serves under an http.Server whose
// connections are TLS: a request that is not marked so is refused. It manages the
// deadlines of the connections itself, so that the server's ReadTimeout and
// WriteTimeout do not hold for what it serves.
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

// newTransport returns the way to the backend. It uses a kept connection again for
// any request. When that turns out to be dead before anything of the answer came,
// net/http tries another by itself, but only if the request has no body and is a
// GET, HEAD, OPTIONS or TRACE or has an Idempotency-Key; others are answered with
// 502. Nothing is tried twice after that.
func newTransport(options HTTPOptions) *http.Transport {
	dialer := &net.Dialer{Timeout: choose(options.DialTimeout, defaultDialTimeout)}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                 nil, // whatever the environment says
		DialContext:           dialBackend(dialer),
		Protocols:             protocols,
		ResponseHeaderTimeout: choose(options.ResponseTimeout, defaultResponseTimeout),
		ExpectContinueTimeout: time.Second, // as clients wait for a 100
		MaxIdleConnsPerHost:   256,
		// Less than the five seconds after which Node.js, Apache and others close
		// what is idle: a POST that crosses such a close is lost.
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
// know. When ctx ends, it cuts off those that are left and returns the context's error.
// New requests are refused. After Drain, no goroutine of the proxy runs.
//
// Call it after Shutdown and, if that failed, Close: without them, a client that
// does not read holds Drain for the five seconds that crypto/tls gives it to take a
// close_notify.
func (h *HTTP) Drain(ctx context.Context) error {
	defer h.transport.CloseIdleConnections()
	return h.running.drain(ctx)
}
