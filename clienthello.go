package halfshake

import (
	"io"
	"net"
	"slices"
)

const (
	// maxHello is the size of the largest ClientHello that the engine choice reads: one
	// full record. crypto/tls accepts up to four times as much, and serves clients that
	// send more.
	maxHello = 16 << 10
	// maxHelloRecords bounds the number of records of a ClientHello, so that record
	// headers do not multiply its size.
	maxHelloRecords = 64
)

// readHello reads the records that hold a ClientHello. It returns all bytes read, which
// may include bytes after the last record, and the message. The message is nil if it is
// not a ClientHello or exceeds the bounds: crypto/tls then handles the bytes. Errors come
// from the reader.
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
			hello = content // usually a single record, which needs no copy
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

// readUpTo appends to data until it has at least n bytes. It allocates memory only as
// bytes arrive, because a client may announce more than it sends.
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

// A replayed connection returns data from Read again before it reads from the connection
// below. If ends is set, Read returns io.EOF after data, and nothing reaches the
// connection below.
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
