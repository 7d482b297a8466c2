//go:build unix

package tls12

import (
	"errors"
	"syscall"
)

// isReset is whether the peer has reset the connection, so that nothing can be written
// either. Some clients end every connection so, and to write costs the process a SIGPIPE.
func isReset(err error) bool { return errors.Is(err, syscall.ECONNRESET) }
