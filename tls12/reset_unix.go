//go:build unix

package tls12

import (
	"errors"
	"syscall"
)

// isReset reports whether the peer has reset the connection, so that nothing more
// can be written. Some clients end every connection with a reset, and a write after
// it would cost the process a SIGPIPE.
func isReset(err error) bool { return errors.Is(err, syscall.ECONNRESET) }
