package proxy

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
)

// maxKept is more than the size of one answer's header and anything before it in a buffer.
const maxKept = 128 << 10

// A backendConn keeps the header of an answer as the backend sent it. If the Connection
// header has "close", net/http deletes that header, and with it the names of the headers
// that a proxy must remove (RFC 9110 section 7.6.1).
type backendConn struct {
	*net.TCPConn

	mu      sync.Mutex
	keeping bool
	kept    []byte // the header, and the beginning of the body
}

// dialBackend returns an [http.Transport.DialContext] that makes backendConns.
func dialBackend(dialer *net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &backendConn{TCPConn: conn.(*net.TCPConn)}, nil
	}
}

// Read reads from the connection. Between a call of keep and the next call of take, it
// keeps what it reads.
func (c *backendConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keeping && len(c.kept) < maxKept {
		c.kept = append(c.kept, p[:n]...)
	}
	return n, err
}

func (c *backendConn) keep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keeping, c.kept = true, nil
}

func (c *backendConn) take() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.kept
	c.keeping, c.kept = false, nil
	return kept
}

// traced records in x the connection that its request is sent over. If net/http tries
// several, x has the last one.
func (x *exchange) traced(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		x.backend = info.Conn.(*backendConn)
		x.backend.keep()
	}})
}

// removeNamed removes the headers that Connection names in addition to close. Without
// close, httputil removes them.
func (x *exchange) removeNamed(r *http.Response) {
	head := x.backend.take()
	if !r.Close {
		return
	}
	for _, value := range connectionHeader(head) {
		for name := range strings.SplitSeq(value, ",") {
			r.Header.Del(textproto.TrimString(name))
		}
	}
}

// connectionHeader returns the values of Connection in the first answer that is not
// an interim one (1xx).
func connectionHeader(head []byte) []string {
	lines := textproto.NewReader(bufio.NewReader(bytes.NewReader(head)))
	for {
		status, err := lines.ReadLine()
		if err != nil {
			return nil
		}
		header, err := lines.ReadMIMEHeader()
		if err != nil {
			return nil
		}
		if _, code, _ := strings.Cut(status, " "); !strings.HasPrefix(code, "1") {
			return header["Connection"]
		}
	}
}
