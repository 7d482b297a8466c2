package main

import (
	"fmt"
	"strings"
)

// maxProtocolName is the longest name that ALPN has room for (RFC 7301 section 3.1).
const maxProtocolName = 255

// An alpnList is the value of --alpn, most preferred first. It is nil if not given.
type alpnList []string

// UnmarshalText reads names joined by commas.
func (l *alpnList) UnmarshalText(text []byte) error {
	var names alpnList
	for name := range strings.SplitSeq(string(text), ",") {
		name = strings.TrimSpace(name)
		if name == "" || len(name) > maxProtocolName {
			return fmt.Errorf("%q is not a list of protocols; give names of 1 to %d bytes joined by commas, for example h2,http/1.1", text, maxProtocolName)
		}
		names = append(names, name)
	}
	*l = names
	return nil
}

// protocols returns the protocols that the server offers in ALPN. By default it offers
// none for a byte stream: only the backend knows which protocol it speaks, and a client
// that asks for a protocol that is not offered gets a fatal alert.
func (f *serveFlags) protocols() []string {
	switch {
	case f.ALPN != nil:
		return f.ALPN
	case f.To.Scheme == "tcp":
		return nil
	}
	return []string{"h2", "http/1.1"}
}
