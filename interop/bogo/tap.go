package main

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// A tap is the connection under the engine. It keeps what the peer sends in the
// clear, and sees whether the stream has ended.
type tap struct {
	*net.TCPConn
	slow bool // a byte at a time

	ahead []byte // read, and not yet by the engine
	seen  []byte // the beginning of what was read
	eof   bool
}

// maxSeen is more than any flight before the peer's ChangeCipherSpec.
const maxSeen = 1 << 20

func (t *tap) Read(b []byte) (int, error) {
	if len(t.ahead) == 0 {
		buf := make([]byte, 32<<10)
		n, err := t.TCPConn.Read(buf)
		if err != nil {
			t.eof = t.eof || errors.Is(err, io.EOF)
			return 0, err
		}
		t.ahead = buf[:n]
		if len(t.seen) < maxSeen {
			t.seen = append(t.seen, t.ahead...)
		}
	}
	if t.slow && len(b) > 1 {
		b = b[:1]
	}
	n := copy(b, t.ahead)
	t.ahead = t.ahead[n:]
	return n, nil
}

// end closes the connection in order, so that the runner reads all that was
// written before it sees the end.
func (t *tap) end() {
	t.CloseWrite()
	t.SetReadDeadline(time.Now().Add(5 * time.Second))
	io.Copy(io.Discard, t.TCPConn)
	t.TCPConn.Close()
}

var errSeen = errors.New("the ClientHello was seen")

// hello returns what crypto/tls makes of the ClientHello, or nil, and leaves all
// that it read for the engine.
func (t *tap) hello() (hello *tls.ClientHelloInfo) {
	slow := t.slow
	t.slow = false
	defer func() {
		t.slow = slow
		t.ahead = append([]byte(nil), t.seen...)
	}()
	peek := tls.Server(&deaf{t}, &tls.Config{
		MinVersion: tls.VersionTLS10,
		GetConfigForClient: func(info *tls.ClientHelloInfo) (*tls.Config, error) {
			hello = info
			return nil, errSeen
		},
	})
	peek.Handshake() // fails with errSeen
	return hello
}

// deaf is a connection that hears its peer and says nothing.
type deaf struct{ *tap }

func (*deaf) Write(b []byte) (int, error) { return len(b), nil }
