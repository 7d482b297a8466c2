// Package ending decides how a TLS connection ended, from the errors of its
// engine. It serves crypto/tls and package tls12 alike, so that a session's fate
// does not depend on the engine: [OfRead] judges an error of Read, [OfWrite] one
// of Write.
//
// Both tell the engine's own errors from those of the transport, the net.Conn
// below the engine. A transport can be anything, including another TLS
// connection, so its errors are compared and never interpreted as the engine's.
package ending

import (
	"errors"
	"io"
	"net"
	"os"
)

// A How says how a connection ended.
type How int

const (
	// None means that the error says nothing about the end: there was no error,
	// an operation timed out, or this side closed the connection.
	None How = iota

	// Clean means that the peer sent close_notify.
	Clean

	// Unclean means that the transport ended without close_notify.
	Unclean

	// Alert means that a fatal alert was sent or received.
	Alert
)

func (h How) String() string {
	return [...]string{"none", "clean", "unclean", "alert"}[h]
}

// OfRead judges an error that the engine's Read returned after the handshake.
// transport is the last error that a Read of the transport returned without data,
// or nil. (Data may bring close_notify, and an io.EOF beside it says nothing new.)
func OfRead(err, transport error) How {
	how, known := of(err, transport)
	switch {
	case known:
		return how
	case err == io.EOF:
		return Clean
	case err == io.ErrUnexpectedEOF: // an engine's word for io.EOF within a record
		return Unclean
	}
	// crypto/tls has sent an alert, though not all of its errors say so: a record
	// of the wrong version is a tls.RecordHeaderError, for example.
	return Alert
}

// OfWrite judges an error that the engine's Write, CloseWrite or Close returned
// after the handshake. transport is the last error that a Write of the transport
// returned, or nil.
func OfWrite(err, transport error) How {
	how, _ := of(err, transport)
	return how
}

// of judges what Read and Write have in common. It reports false for other errors.
func of(err, transport error) (how How, known bool) {
	switch {
	case err == nil:
		return None, true
	case transport != nil && errors.Is(err, transport):
		return OfTransport(transport), true
	case isAlert(err):
		return Alert, true
	case Timeout(err) || isOwnClose(err):
		return None, true
	}
	return None, false
}

// OfTransport judges an error of the transport: Unclean if the transport ended by
// itself, otherwise None.
//
// When the peer of a net.Pipe has closed it, Write returns the same error as after
// a Close on this side, and OfTransport returns None; the next Read returns
// io.EOF, which is Unclean.
func OfTransport(err error) How {
	if err == nil || Timeout(err) || isOwnClose(err) {
		return None
	}
	return Unclean
}

// Timeout reports whether err says that an operation timed out, which by itself
// ends no connection.
func Timeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout() || errors.Is(err, os.ErrDeadlineExceeded)
}

// isOwnClose reports whether err says that this side has closed the connection.
func isOwnClose(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)
}

// isAlert reports whether err stands for a fatal alert. The alert's type is not
// exported by crypto/tls, but the Op of the net.OpError around it tells.
func isAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && (op.Op == "remote error" || op.Op == "local error")
}
