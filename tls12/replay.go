package tls12

import (
	"bytes"
	"io"
	"net"
	"time"
)

// replay returns a connection that reads raw, a handshake message, in records, and
// discards what is written.
func replay(raw []byte) net.Conn {
	var records bytes.Buffer
	for len(raw) > 0 {
		part := raw[:min(len(raw), maxPlaintext)]
		var header [recordHeaderLen]byte
		putHeader(header[:], recordHandshake, versionTLS12, len(part))
		records.Write(header[:])
		records.Write(part)
		raw = raw[len(part):]
	}
	return &replayed{in: &records}
}

type replayed struct {
	deadConn
	in io.Reader
}

func (r *replayed) Read(b []byte) (int, error)  { return r.in.Read(b) }
func (r *replayed) Write(b []byte) (int, error) { return len(b), nil }

// A firstRecord keeps the first record written to it.
type firstRecord struct {
	deadConn
	record []byte
}

func (*firstRecord) Read([]byte) (int, error) { return 0, io.EOF }

func (r *firstRecord) Write(b []byte) (int, error) {
	if r.record == nil {
		r.record = bytes.Clone(b)
	}
	return len(b), nil
}

// message returns the handshake message in the record.
func (r *firstRecord) message() (raw []byte, ok bool) {
	if len(r.record) < recordHeaderLen {
		return nil, false
	}
	return r.record[recordHeaderLen:], true
}

// A deadConn is a net.Conn without a peer.
type deadConn struct{}

func (deadConn) Close() error                     { return nil }
func (deadConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (deadConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (deadConn) SetDeadline(time.Time) error      { return nil }
func (deadConn) SetReadDeadline(time.Time) error  { return nil }
func (deadConn) SetWriteDeadline(time.Time) error { return nil }
