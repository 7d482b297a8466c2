package halfshake

import (
	"crypto/tls"
	"sync/atomic"
)

// A watchedTransport is the transport below a *tls.Conn of [Cache.NewListener]. A
// *tls.Conn does not say when its handshake is complete, so the transport watches the
// records instead. After VerifyConnection has run, each of these shows that the client
// holds the keys:
//
//   - crypto/tls reads on after a whole record of application data, which is the type of
//     every encrypted record in TLS 1.3. It would not if decryption had failed.
//   - In TLS 1.3, crypto/tls writes something other than an alert. Only an alert is a
//     single record of 24 bytes, and nothing follows it.
//   - In TLS 1.2, crypto/tls writes application data, or, in a full handshake, anything
//     but an alert: its ChangeCipherSpec comes after the client's Finished.
//
// Its methods run under crypto/tls's locks, and call no application code.
type watchedTransport struct {
	*transport

	// Used by the goroutine that reads. crypto/tls has one at a time.
	in recordReader

	// Used by the goroutine that writes. crypto/tls has one at a time.
	wroteAlertSize bool

	complete atomic.Bool // the handshake is complete, and has been reported
}

const (
	recordHeaderSize      = 5
	recordAlert           = 21
	recordApplicationData = 23
	// alertSize13 is the length of an alert of TLS 1.3 in a record: header, level,
	// description, content type and tag.
	alertSize13 = recordHeaderSize + 2 + 1 + 16
)

func (w *watchedTransport) Read(b []byte) (int, error) {
	if w.complete.Load() {
		return w.transport.Read(b)
	}
	if w.in.applicationData {
		w.seen()
	}
	n, err := w.transport.Read(b)
	w.in.feed(b[:n])
	return n, err
}

func (w *watchedTransport) Write(b []byte) (int, error) {
	if w.handshake.verified && !w.complete.Load() && len(b) > 0 && w.implied(b) {
		w.seen()
	}
	return w.transport.Write(b)
}

// implied reports whether writing b means that the client holds the keys.
func (w *watchedTransport) implied(b []byte) bool {
	h := w.handshake
	if h.info.Version >= tls.VersionTLS13 {
		second := w.wroteAlertSize
		w.wroteAlertSize = len(b) == alertSize13
		return !w.wroteAlertSize || second
	}
	return b[0] == recordApplicationData || b[0] != recordAlert && !h.resuming
}

// seen completes the handshake, once.
func (w *watchedTransport) seen() {
	if h := w.handshake; h.verified && !w.complete.Swap(true) {
		h.counted(h.resuming)
		h.proved(h.resuming)
		if h.parentRemoved() {
			h.cache.soon(func() { h.orphaned(h.cache.withCallbackContext) })
		}
	}
}

// A recordReader follows the records in a stream.
type recordReader struct {
	header          [recordHeaderSize]byte
	have            int  // bytes of the header
	left            int  // bytes of the record's content still to come
	applicationData bool // a whole record of that type has been seen
}

func (r *recordReader) feed(b []byte) {
	for len(b) > 0 && !r.applicationData {
		if r.have < recordHeaderSize {
			n := copy(r.header[r.have:], b)
			r.have += n
			b = b[n:]
			if r.have < recordHeaderSize {
				return
			}
			r.left = int(r.header[3])<<8 | int(r.header[4])
		}
		n := min(r.left, len(b))
		r.left -= n
		b = b[n:]
		if r.left == 0 {
			r.applicationData = r.header[0] == recordApplicationData
			r.have = 0
		}
	}
}
