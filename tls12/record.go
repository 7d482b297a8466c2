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
	maxCiphertext   = maxPlaintext + 256 // more than the suites of this package need
	smallBuffer     = 2 << 10
	largeBuffer     = recordHeaderLen + maxCiphertext

	// How many empty application data records, and how many warnings, the peer may
	// send in a row.
	maxEmpty    = 32
	maxWarnings = 4
)

func putHeader(b []byte, typ recordType, version uint16, length int) {
	_ = b[recordHeaderLen-1]
	b[0] = byte(typ)
	b[1], b[2] = byte(version>>8), byte(version)
	b[3], b[4] = byte(length>>8), byte(length)
}

// An input is the reading half of a connection. Whoever holds the lock owns the
// other fields.
type input struct {
	sync.Mutex
	err error // permanent

	conn       net.Conn
	buf        []byte // buf[start:end] was read and is not used yet
	start, end int
	known      bool // the version is agreed on

	open *protection // nil before the peer's ChangeCipherSpec

	data      []byte // application data in buf that Read has not returned yet
	handshake []byte // handshake messages that were not taken yet, the last perhaps in part
	empty     int    // empty records of application data
	warnings  int
}

// record reads one record and returns its type and content. The content is valid
// until the next call.
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
		return 0, nil, fail(alertRecordOverflow, "the peer sent a record of %d bytes", len(content))
	}
	return typ, content, nil
}

// checkHeader refuses a record that is not TLS before reading more of it.
func (in *input) checkHeader(header []byte, length int) error {
	typ, version := recordType(header[0]), uint16(header[1])<<8|uint16(header[2])
	switch {
	case in.known && version != versionTLS12:
		return fail(alertProtocolVersion, "the peer sent a record of version %#04x", version)
	case !in.known && typ == 0x80: // the length of an SSLv2 hello
		return fail(alertProtocolVersion, "the client sent an SSLv2 handshake")
	case !in.known && (typ != recordHandshake && typ != recordAlert || version>>8 != 3):
		return notTLS(in.conn, header)
	case length > maxCiphertext:
		return fail(alertRecordOverflow, "the peer sent a record of %d bytes", length)
	}
	return nil
}

// notTLS returns the error that crypto/tls returns here, which lets a server answer
// in plain HTTP.
func notTLS(conn net.Conn, header []byte) error {
	err := tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake", Conn: conn}
	copy(err.RecordHeader[:], header)
	return err
}

// A transportError is an error of the connection below, on its way to Conn.failed,
// which unwraps it. The wrapper keeps it apart from this package's own errors, even
// if the connection below is a Conn too.
type transportError struct{ error }

// fill reads until n bytes are buffered. The end of the stream is io.EOF between
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

// makeRoom makes room for n bytes from start on, by moving what is buffered and
// growing the buffer if necessary.
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

// alertWaits reports whether the next record is buffered whole and is an alert.
func (in *input) alertWaits() bool {
	waiting := in.buf[in.start:in.end]
	return len(waiting) >= recordHeaderLen && recordType(waiting[0]) == recordAlert &&
		len(waiting) >= recordHeaderLen+int(waiting[3])<<8+int(waiting[4])
}

// nextRecord returns the next record that is not ignored. The peer's close_notify is
// io.EOF; the end of the stream is a transportError.
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

// countUseless limits how many ignored records a peer may send. Neither count resets
// the other.
func (in *input) countUseless(typ recordType) error {
	if typ == recordAlert {
		in.warnings++
	} else {
		in.empty++
	}
	switch {
	case in.warnings > maxWarnings:
		return fail(alertUnexpectedMessage, "the peer sent more than %d warnings", maxWarnings)
	case in.empty > maxEmpty:
		return fail(alertUnexpectedMessage, "the peer sent more than %d empty records", maxEmpty)
	}
	return nil
}

// useful reports whether a record has content to handle. It returns an error for a
// record that is not allowed now.
func (c *Conn) useful(typ recordType, content []byte) (bool, error) {
	complete := c.complete.Load()
	switch typ {
	case recordAlert:
		return false, c.peerAlert(content)
	case recordHandshake:
		if len(content) == 0 {
			return false, fail(alertUnexpectedMessage, "the peer sent an empty handshake record")
		}
		if !complete {
			c.in.empty, c.in.warnings = 0, 0
		}
	case recordApplicationData:
		switch {
		case !complete:
			return false, fail(alertUnexpectedMessage, "the peer sent application data during the handshake")
		case len(content) == 0:
			return false, nil
		}
		c.in.empty, c.in.warnings = 0, 0
	case recordChangeCipherSpec:
	default:
		return false, fail(alertUnexpectedMessage, "the peer sent a record of type %d, which is unknown", typ)
	}
	return true, nil
}

// peerAlert returns nil for a warning. For any other alert it returns the error that
// ends the connection.
func (c *Conn) peerAlert(content []byte) error {
	if len(content) != 2 {
		return fail(alertUnexpectedMessage, "the peer sent an alert of %d bytes", len(content))
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
	return fail(alertIllegalParameter, "the peer sent an alert of level %d", level)
}

// readChangeCipherSpec reads ChangeCipherSpec and switches to the peer's new keys. No
// handshake message may span it, and no other record may come instead.
func (c *Conn) readChangeCipherSpec(next *protection) error {
	if err := c.in.nothingLeft(); err != nil {
		return err
	}
	typ, content, err := c.nextRecord()
	switch {
	case err != nil:
		return err
	case typ != recordChangeCipherSpec:
		return fail(alertUnexpectedMessage, "the peer sent a record of type %d instead of ChangeCipherSpec", typ)
	case len(content) != 1 || content[0] != 1:
		return fail(alertDecodeError, "the ChangeCipherSpec is malformed")
	}
	c.in.open = next
	return nil
}

// nothingLeft refuses buffered handshake bytes at the end of a flight, where the peer
// must wait for an answer.
func (in *input) nothingLeft() error {
	if len(in.handshake) > 0 {
		return fail(alertUnexpectedMessage, "the peer sent handshake messages after the end of its flight")
	}
	return nil
}
