package tls12

import (
	"net"
	"sync"
)

// An output is the writing half of a connection. Whoever holds the lock owns the
// other fields.
type output struct {
	sync.Mutex
	err error // permanent

	conn    net.Conn
	version uint16 // of the records
	seal    *protection

	// flight holds a handshake's records until flush. It is nil if records are
	// written at once.
	flight []byte
	hold   bool

	sent    int64 // bytes of application data
	records int64

	fullRecords bool // as Config.DynamicRecordSizingDisabled
	notified    bool // sending close_notify was tried
	notifyErr   error
}

// firstSegment surely fits a TCP segment over IPv6: 1280 bytes less the headers,
// with time stamps.
const (
	firstSegment = 1208
	boostAfter   = 128 << 10
)

var recordBuffers = sync.Pool{New: func() any { return new([]byte) }}

// write sends content in as many records as necessary and returns how much of it
// was sent. The first error is permanent.
func (out *output) write(typ recordType, content []byte) (n int, err error) {
	if out.err != nil {
		return 0, out.err
	}
	buf := recordBuffers.Get().(*[]byte)
	defer recordBuffers.Put(buf)
	for len(content) > 0 {
		part := content[:min(len(content), out.limit(typ))]
		if *buf, err = out.encode((*buf)[:0], typ, part); err == nil {
			err = out.send(*buf)
		}
		if err != nil {
			out.err = stuck(err)
			return n, out.err
		}
		n += len(part)
		content = content[len(part):]
	}
	return n, nil
}

// encode appends one record to dst.
func (out *output) encode(dst []byte, typ recordType, content []byte) ([]byte, error) {
	start := len(dst)
	dst = append(dst, make([]byte, recordHeaderLen)...)
	if out.seal == nil {
		dst = append(dst, content...)
	} else {
		var err error
		if dst, err = out.seal.seal(dst, typ, content); err != nil {
			return dst, err
		}
	}
	putHeader(dst[start:], typ, out.version, len(dst)-start-recordHeaderLen)
	return dst, nil
}

func (out *output) send(record []byte) error {
	if out.hold {
		out.flight = append(out.flight, record...)
		return nil
	}
	_, err := out.conn.Write(record)
	return err
}

// flush sends the flight.
func (out *output) flush() error {
	if out.err != nil || len(out.flight) == 0 {
		return out.err
	}
	_, err := out.conn.Write(out.flight)
	out.flight = out.flight[:0]
	if err != nil {
		out.err = stuck(err)
	}
	return out.err
}

// changeCipherSpec sends the message and switches to the new keys.
func (out *output) changeCipherSpec(next *protection) error {
	if _, err := out.write(recordChangeCipherSpec, []byte{1}); err != nil {
		return err
	}
	out.seal = next
	return nil
}

// fatal tries to send the failure's alert, and makes every later write fail with the
// error that it returns.
func (out *output) fatal(f *failure) error {
	out.write(recordAlert, []byte{level(f.alert), byte(f.alert)}) // best effort: f is the error that counts
	out.flush()
	out.err = localError(f)
	return out.err
}

// limit returns how much content the next record may have. The first records each
// fit a TCP segment, so that the peer can use them sooner; later ones are as large as
// possible.
func (out *output) limit(typ recordType) int {
	if typ != recordApplicationData || out.fullRecords || out.sent >= boostAfter {
		return maxPlaintext
	}
	overhead := recordHeaderLen
	if out.seal != nil {
		overhead += out.seal.overhead()
	}
	out.records++
	return int(min(maxPlaintext, out.records*int64(firstSegment-overhead)))
}

// A stuckError is the error of a failed write. It is permanent, because records may
// be lost and the peer could not read any that follow.
type stuckError struct{ err net.Error }

func (e stuckError) Error() string   { return e.err.Error() }
func (e stuckError) Unwrap() error   { return e.err }
func (e stuckError) Timeout() bool   { return e.err.Timeout() }
func (e stuckError) Temporary() bool { return false }

func stuck(err error) error {
	if e, ok := err.(net.Error); ok {
		return stuckError{e}
	}
	return err
}

// closeNotify is the content of a close_notify record.
var closeNotify = []byte{level(alertCloseNotify), byte(alertCloseNotify)}
