package ending_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	. "github.com/halfshake/halfshake/internal/ending"
)

// slow is a timeout that is not os.ErrDeadlineExceeded.
type slow struct{}

func (slow) Error() string   { return "too slow" }
func (slow) Timeout() bool   { return true }
func (slow) Temporary() bool { return true }

// permanent is how crypto/tls keeps an error.
type permanent struct{ err net.Error }

func (p permanent) Error() string   { return p.err.Error() }
func (p permanent) Unwrap() error   { return p.err }
func (p permanent) Timeout() bool   { return p.err.Timeout() }
func (p permanent) Temporary() bool { return false }

var (
	reset       = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	broken      = &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)}
	remoteAlert = &net.OpError{Op: "remote error", Err: tls.AlertError(40)}
	localAlert  = &net.OpError{Op: "local error", Err: tls.AlertError(20)}
	deadline    = &net.OpError{Op: "read", Net: "pipe", Err: os.ErrDeadlineExceeded}
	wrappedSlow = &net.OpError{Op: "read", Err: fmt.Errorf("wrapped: %w", os.ErrDeadlineExceeded)}
	closed      = &net.OpError{Op: "read", Net: "tcp", Err: net.ErrClosed}
)

func TestOf(t *testing.T) {
	for _, test := range []struct {
		name           string
		err, transport error
		read, write    How
	}{
		{"no error", nil, nil, None, None},
		{"no error, an earlier timeout", nil, deadline, None, None},
		{"close_notify", io.EOF, nil, Clean, None},
		{"the stream's end", io.EOF, io.EOF, Unclean, Unclean},
		{"the stream's end within a record", io.ErrUnexpectedEOF, io.EOF, Unclean, None},
		{"a reset", reset, reset, Unclean, Unclean},
		{"a reset, kept by crypto/tls", permanent{reset}, reset, Unclean, Unclean},
		{"a broken pipe in a failed close_notify", fmt.Errorf("tls: close_notify: %w", broken), broken, Unclean, Unclean},
		{"an unknown transport's error", context.Canceled, context.Canceled, Unclean, Unclean},

		{"a deadline", deadline, deadline, None, None},
		{"a deadline without a transport", deadline, nil, None, None},
		{"a deadline within an error that hides it", wrappedSlow, wrappedSlow, None, None},
		{"another timeout", slow{}, slow{}, None, None},
		{"another timeout without a transport", slow{}, nil, None, None},
		{"a context's deadline", context.DeadlineExceeded, nil, None, None},

		{"this side's Close", net.ErrClosed, nil, None, None},
		{"this side's Close of a socket", closed, closed, None, None},
		{"this side's Close of a pipe", io.ErrClosedPipe, io.ErrClosedPipe, None, None},

		{"an alert received", remoteAlert, nil, Alert, Alert},
		{"an alert sent", localAlert, nil, Alert, Alert},
		{"an alert, kept by crypto/tls", permanent{localAlert}, nil, Alert, Alert},
		{"an alert after an earlier timeout", remoteAlert, deadline, Alert, Alert},
		{"an alert about a closed socket", &net.OpError{Op: "local error", Err: net.ErrClosed}, nil, Alert, Alert},
		{"a record of a wrong version", tls.RecordHeaderError{Msg: "version"}, nil, Alert, None},
		{"another violation of the protocol", errors.New("tls: too many ignored records"), nil, Alert, None},
		{"a Write after CloseWrite", errors.New("tls: protocol is shutdown"), nil, Alert, None},

		// The transport is a TLS connection itself: the alert is another layer's.
		{"a transport's alert", remoteAlert, remoteAlert, Unclean, Unclean},
		{"a transport's alert, kept by crypto/tls", permanent{localAlert}, localAlert, Unclean, Unclean},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := OfRead(test.err, test.transport); got != test.read {
				t.Errorf("OfRead: %v, want %v", got, test.read)
			}
			if got := OfWrite(test.err, test.transport); got != test.write {
				t.Errorf("OfWrite: %v, want %v", got, test.write)
			}
		})
	}
}

func TestOfTransport(t *testing.T) {
	for _, err := range []error{nil, deadline, wrappedSlow, slow{}, net.ErrClosed, closed, io.ErrClosedPipe} {
		if got := OfTransport(err); got != None {
			t.Errorf("%v: %v, want none", err, got)
		}
	}
	for _, err := range []error{io.EOF, io.ErrUnexpectedEOF, reset, broken, remoteAlert, errors.New("other")} {
		if got := OfTransport(err); got != Unclean {
			t.Errorf("%v: %v, want unclean", err, got)
		}
	}
}
