package halfshake

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
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

// readHello reads the records that hold a ClientHello, and what has come with the
// last of them, and returns the message beside them: nil if that is not what comes.
// The bytes are then for crypto/tls to judge. The error is that of the reader.
func readHello(r io.Reader) (data, hello []byte, err error) {
	const recordHeader, messageHeader, clientHello, handshake = 5, 4, 1, 22
	end := 0 // of the records so far
	for range maxHelloRecords {
		start := end
		end += recordHeader
		if data, err = readUpTo(r, data, end); err != nil {
			return data, nil, err
		}
		header := data[start:end]
		size := int(header[3])<<8 | int(header[4])
		if header[0] != handshake || header[1] != 3 || size == 0 || size > 1<<14 {
			return data, nil, nil
		}
		end += size
		if data, err = readUpTo(r, data, end); err != nil {
			return data, nil, err
		}
		if content := data[start+recordHeader : end : end]; hello == nil {
			hello = content // one record is the rule, and needs no copy
		} else {
			hello = append(hello, content...)
		}
		if hello[0] != clientHello {
			return data, nil, nil
		}
		if len(hello) < messageHeader {
			continue
		}
		switch want := messageHeader + int(hello[1])<<16 + int(hello[2])<<8 + int(hello[3]); {
		case want > maxHello:
			return data, nil, nil
		case len(hello) >= want:
			return data, hello[:want], nil
		}
	}
	return data, nil, nil
}

// readUpTo appends to data until it has n bytes, and what else comes with them. It
// takes memory as the bytes come, for a client may announce more than it sends.
func readUpTo(r io.Reader, data []byte, n int) ([]byte, error) {
	const part = 2 << 10
	for len(data) < n {
		data = slices.Grow(data, part)
		free := data[len(data):cap(data)]
		got, err := io.ReadAtLeast(r, free, min(n-len(data), len(free)))
		data = data[:len(data)+got]
		if err != nil {
			return data, err
		}
	}
	return data, nil
}

// errHelloRead ends the throwaway handshake of withHello.
var errHelloRead = errors.New("halfshake: the ClientHello has been read")

// withHello calls use with what crypto/tls makes of the bytes of a ClientHello, and
// reports whether it made anything of them. reader is of helloReader. A real server
// reads them from a connection that goes nowhere, and is stopped once it has asked
// for the configuration, so that what use is given is alive: its context, and what
// its methods look at.
func withHello(ctx context.Context, data []byte, reader *tls.Config, conn net.Conn, use func(*tls.ClientHelloInfo)) (read bool) {
	throwaway := &helloConn{replayed{Conn: conn, data: data, ends: true}, func(hello *tls.ClientHelloInfo) {
		read = true
		seen := *hello
		seen.Conn = conn
		use(&seen)
	}}
	tls.Server(throwaway, reader).HandshakeContext(ctx)
	return read
}

// A helloConn is the connection of a throwaway server, and what to do with its hello.
type helloConn struct {
	replayed
	use func(*tls.ClientHelloInfo)
}

// helloReader returns the throwaway server's configuration.
func helloReader(config *tls.Config) *tls.Config {
	reader := config.Clone()
	reader.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		hello.Conn.(*helloConn).use(hello)
		return nil, errHelloRead
	}
	return reader
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
