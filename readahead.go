package halfshake

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

const (
	// maxHello bounds a ClientHello, as crypto/tls does.
	maxHello = 64 << 10
	// maxHelloRecords bounds the records that it comes in, so that headers do not
	// multiply its size.
	maxHelloRecords = 64
	// helloTimeout bounds how long a client may take to send it.
	helloTimeout = 5 * time.Second
	// handshakeTimeout12 bounds a handshake of package tls12, which net/http does
	// not.
	handshakeTimeout12 = 10 * time.Second
)

// readHello reads the records that hold a ClientHello, and never beyond the one in
// which it ends. whole is false if that is not what comes: the bytes are then for
// crypto/tls to judge. The error is that of the reader.
func readHello(r io.Reader) (data []byte, whole bool, err error) {
	const recordHeader, messageHeader, clientHello, handshake = 5, 4, 1, 22
	var head []byte // of the message: its type and its length
	got := 0        // of the message
	for range maxHelloRecords {
		start := len(data)
		if data, err = readMore(r, data, recordHeader); err != nil {
			return data, false, err
		}
		header := data[start:]
		size := int(header[3])<<8 | int(header[4])
		if header[0] != handshake || header[1] != 3 || size == 0 || size > 1<<14 {
			return data, false, nil
		}
		if data, err = readMore(r, data, size); err != nil {
			return data, false, err
		}
		got += size
		head = append(head, data[start+recordHeader:][:min(size, messageHeader-len(head))]...)
		if head[0] != clientHello {
			return data, false, nil
		}
		if len(head) < messageHeader {
			continue
		}
		want := messageHeader + int(head[1])<<16 + int(head[2])<<8 + int(head[3])
		if want > maxHello || got >= want {
			return data, want <= maxHello, nil
		}
	}
	return data, false, nil
}

// readMore appends n bytes of r to data, or as many as there are. It takes memory
// as the bytes come.
func readMore(r io.Reader, data []byte, n int) ([]byte, error) {
	for n > 0 {
		part := min(n, 2<<10)
		at := len(data)
		data = append(data, make([]byte, part)...)
		got, err := io.ReadFull(r, data[at:])
		if err != nil {
			return data[:at+got], err
		}
		n -= part
	}
	return data, nil
}

// errHelloRead ends the throwaway handshake of withHello.
var errHelloRead = errors.New("halfshake: the ClientHello has been read")

// withHello calls use with what crypto/tls makes of the bytes of a ClientHello, as
// a server with this configuration, and reports whether it made anything of them.
// A real server reads them from a connection that goes nowhere, and is stopped
// once it has asked for the configuration, so that what use is given is alive:
// its context, and what its methods look at.
func withHello(ctx context.Context, data []byte, config *tls.Config, conn net.Conn, use func(*tls.ClientHelloInfo)) (read bool) {
	throwaway := config.Clone()
	throwaway.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		read = true
		seen := *hello
		seen.Conn = conn
		use(&seen)
		return nil, errHelloRead
	}
	tls.Server(&replayed{Conn: conn, data: data, ends: true}, throwaway).HandshakeContext(ctx)
	return read
}

// A replayed connection has been read from: data comes again, before the rest.
// Where it ends with data, nothing reaches the connection below.
type replayed struct {
	net.Conn
	data []byte
	ends bool
}

// NetConn returns the connection below.
func (r *replayed) NetConn() net.Conn { return r.Conn }

func (r *replayed) Read(b []byte) (int, error) {
	if len(r.data) > 0 {
		n := copy(b, r.data)
		if r.data = r.data[n:]; len(r.data) == 0 {
			r.data = nil
		}
		return n, nil
	}
	if r.ends {
		return 0, io.EOF
	}
	return r.Conn.Read(b)
}

func (r *replayed) Write(b []byte) (int, error) {
	if r.ends {
		return len(b), nil
	}
	return r.Conn.Write(b)
}

func (r *replayed) Close() error {
	if r.ends {
		return nil
	}
	return r.Conn.Close()
}
