// Package keylog lets both engines write to one tls.Config.KeyLogWriter. crypto/tls holds
// its own lock around each line, which package tls12 cannot take. Both therefore write
// through [Writer], which has its own lock.
package keylog

import (
	"io"
	"sync"
)

// mu is held around every Write. As in crypto/tls, one lock for the process is
// enough: key logs are for debugging.
var mu sync.Mutex

// Writer returns a writer that passes each Write to w, one at a time among all
// writers that Writer has returned. It returns nil if w is nil, and w itself if
// Writer has returned it before.
func Writer(w io.Writer) io.Writer {
	switch w.(type) {
	case nil, writer:
		return w
	}
	return writer{w}
}

type writer struct{ to io.Writer }

func (w writer) Write(p []byte) (int, error) {
	mu.Lock()
	defer mu.Unlock()
	return w.to.Write(p)
}
