package main

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// A tap is the connection under the engine. It keeps what the peer sends in the clear, and
// notices the end of the stream.
type tap struct {
	*net.TCPConn
	slow bool // whether to pass a byte at a time

	ahead []byte // already read, but not yet by the engine
	seen  []byte // the beginning of the data read
	eof   bool
}

// maxSeen is more than the size of any flight before the peer's ChangeCipherSpec.
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

// end closes the connection in an orderly way, so that the runner reads everything written
// before it sees the end.
func (t *tap) end() {
	t.CloseWrite()
	t.SetReadDeadline(time.Now().Add(5 * time.Second))
	io.Copy(io.Discard, t.TCPConn)
	t.TCPConn.Close()
}

var errSeen = errors.New("the ClientHello was seen")

// hello returns the ClientHello as parsed by crypto/tls, or nil. The engine can still read
// all of the data.
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

// deaf is a connection that reads from its peer but sends nothing.
type deaf struct{ *tap }

func (*deaf) Write(b []byte) (int, error) { return len(b), nil }
