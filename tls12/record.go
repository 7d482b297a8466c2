package tls12

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
)

type recordType uint8

const (
	recordChangeCipherSpec recordType = 20
	recordAlert            recordType = 21
	recordHandshake        recordType = 22
	recordApplicationData  recordType = 23
)

const (
	recordHeaderLen = 5
	maxPlaintext    = 1 << 14
	maxCiphertext   = maxPlaintext + 256 // no suite here needs as much
	smallBuffer     = 2 << 10
	largeBuffer     = recordHeaderLen + maxCiphertext

	// How many records may bring nothing before one does: empty application
	// data, and warnings.
	maxEmpty    = 32
	maxWarnings = 4
)

func putHeader(b []byte, typ recordType, version uint16, length int) {
	_ = b[recordHeaderLen-1]
	b[0] = byte(typ)
	b[1], b[2] = byte(version>>8), byte(version)
	b[3], b[4] = byte(length>>8), byte(length)
}

// An input is the reading half of a connection. All but the lock is owned by
// whoever holds it.
type input struct {
	sync.Mutex
	err error // permanent

	conn       net.Conn
	buf        []byte // what was read is buf[start:end]
	start, end int
	known      bool // the version is agreed

	open *protection // nil before the peer's ChangeCipherSpec

	data      []byte // application data, in buf, until read
	handshake []byte // the beginning of a handshake message, or more
	empty     int    // records of application data without any
	warnings  int
}

// record reads one record and returns its type and content, which is valid until
// the next call.
func (in *input) record() (recordType, []byte, error) {
	if err := in.fill(recordHeaderLen); err != nil {
		return 0, nil, err
	}
	header := in.buf[in.start : in.start+recordHeaderLen]
	typ, length := recordType(header[0]), int(header[3])<<8|int(header[4])
	if err := in.checkHeader(header, length); err != nil {
		return 0, nil, err
	}
	if err := in.fill(recordHeaderLen + length); err != nil {
		return 0, nil, err
	}
	content := in.buf[in.start+recordHeaderLen : in.start+recordHeaderLen+length]
	in.start += recordHeaderLen + length
	if in.open != nil {
		var err error
		if content, err = in.open.open(typ, content); err != nil {
			return 0, nil, &failure{alertBadRecordMAC, err}
		}
	}
	if len(content) > maxPlaintext {
		return 0, nil, fail(alertRecordOverflow, "a record of %d bytes", len(content))
	}
	return typ, content, nil
}

// checkHeader refuses what is not TLS before more of it is read.
func (in *input) checkHeader(header []byte, length int) error {
	typ, version := recordType(header[0]), uint16(header[1])<<8|uint16(header[2])
	switch {
	case in.known && version != versionTLS12:
		return fail(alertProtocolVersion, "a record of version %#04x", version)
	case !in.known && typ == 0x80: // an SSLv2 hello's length
		return fail(alertProtocolVersion, "an SSLv2 handshake")
	case !in.known && (typ != recordHandshake && typ != recordAlert || version>>8 != 3):
		return notTLS(in.conn, header)
	case length > maxCiphertext:
		return fail(alertRecordOverflow, "a record of %d bytes", length)
	}
	return nil
}

// notTLS is the error that crypto/tls has for this, so that a server can answer
// in plain HTTP.
func notTLS(conn net.Conn, header []byte) error {
	err := tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake", Conn: conn}
	copy(err.RecordHeader[:], header)
	return err
}

// A transportError is an error of the connection below, on its way to Conn.failed,
// which unwraps it. It cannot be mistaken for an error of this package, even if
// that connection is one of this package too.
type transportError struct{ error }

// fill reads until n bytes are buffered. An end of the stream is io.EOF between
// records and io.ErrUnexpectedEOF within one.
func (in *input) fill(n int) error {
	in.makeRoom(n)
	for empty := 0; in.end-in.start < n; {
		m, err := in.conn.Read(in.buf[in.end:])
		in.end += m
		switch {
		case in.end-in.start >= n:
			return nil
		case err == io.EOF && in.end > in.start:
			return transportError{io.ErrUnexpectedEOF}
		case err != nil:
			return transportError{err}
		case m > 0:
			empty = 0
		default:
			if empty++; empty > 100 {
				return transportError{io.ErrNoProgress}
			}
		}
	}
	return nil
}

// makeRoom moves what is buffered, into a larger buffer if need be, so that n
// bytes from start fit.
func (in *input) makeRoom(n int) {
	if in.start == in.end {
		in.start, in.end = 0, 0
	}
	if len(in.buf)-in.start >= n {
		return
	}
	to := in.buf
	switch {
	case n > smallBuffer && len(to) < largeBuffer:
		to = make([]byte, largeBuffer)
	case to == nil:
		to = make([]byte, smallBuffer)
	}
	in.end = copy(to, in.buf[in.start:in.end])
	in.start, in.buf = 0, to
}

// alertWaits is whether the next record has been read already and is an alert.
func (in *input) alertWaits() bool {
	waiting := in.buf[in.start:in.end]
	return len(waiting) >= recordHeaderLen && recordType(waiting[0]) == recordAlert &&
		len(waiting) >= recordHeaderLen+int(waiting[3])<<8+int(waiting[4])
}

// nextRecord returns the next record that brings something. io.EOF is the peer's
// close_notify; the stream's end is a transportError.
func (c *Conn) nextRecord() (recordType, []byte, error) {
	for {
		typ, content, err := c.in.record()
		if err != nil {
			return 0, nil, err
		}
		useful, err := c.useful(typ, content)
		if err != nil {
			return 0, nil, err
		}
		if useful {
			return typ, content, nil
		}
		if err := c.in.countUseless(typ); err != nil {
			return 0, nil, err
		}
	}
}

// countUseless bounds what a peer can have this side decrypt for nothing. The
// counts do not reset each other.
func (in *input) countUseless(typ recordType) error {
	if typ == recordAlert {
		in.warnings++
	} else {
		in.empty++
	}
	switch {
	case in.warnings > maxWarnings:
		return fail(alertUnexpectedMessage, "more than %d warnings", maxWarnings)
	case in.empty > maxEmpty:
		return fail(alertUnexpectedMessage, "more than %d empty records", maxEmpty)
	}
	return nil
}

// useful is whether a record brings something; where none may come, an error.
func (c *Conn) useful(typ recordType, content []byte) (bool, error) {
	complete := c.complete.Load()
	switch typ {
	case recordAlert:
		return false, c.peerAlert(content)
	case recordHandshake:
		if len(content) == 0 {
			return false, fail(alertUnexpectedMessage, "an empty handshake record")
		}
		if !complete {
			c.in.empty, c.in.warnings = 0, 0
		}
	case recordApplicationData:
		switch {
		case !complete:
			return false, fail(alertUnexpectedMessage, "application data during the handshake")
		case len(content) == 0:
			return false, nil
		}
		c.in.empty, c.in.warnings = 0, 0
	case recordChangeCipherSpec:
	default:
		return false, fail(alertUnexpectedMessage, "a record of type %d", typ)
	}
	return true, nil
}

// peerAlert returns nil for a warning, and the error that ends the connection for
// any other alert.
func (c *Conn) peerAlert(content []byte) error {
	if len(content) != 2 {
		return fail(alertUnexpectedMessage, "an alert of %d bytes", len(content))
	}
	level, alert := content[0], tls.AlertError(content[1])
	switch {
	case alert == alertCloseNotify:
		c.peerClosed.Store(true)
		return io.EOF
	case level == levelWarning:
		return nil
	case level == levelFatal:
		return remoteError(alert)
	}
	return fail(alertIllegalParameter, "an alert of level %d", level)
}

// readChangeCipherSpec puts the peer's new keys in force. No handshake message
// may span it, and none may come in its place.
func (c *Conn) readChangeCipherSpec(next *protection) error {
	if err := c.in.nothingLeft(); err != nil {
		return err
	}
	typ, content, err := c.nextRecord()
	switch {
	case err != nil:
		return err
	case typ != recordChangeCipherSpec:
		return fail(alertUnexpectedMessage, "a record of type %d in place of ChangeCipherSpec", typ)
	case len(content) != 1 || content[0] != 1:
		return fail(alertDecodeError, "the ChangeCipherSpec is malformed")
	}
	c.in.open = next
	return nil
}

// nothingLeft refuses handshake bytes after the last message that the peer could
// know to send.
func (in *input) nothingLeft() error {
	if len(in.handshake) > 0 {
		return fail(alertUnexpectedMessage, "handshake messages after the flight's end")
	}
	return nil
}
