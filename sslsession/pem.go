package sslsession

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
)

// Label is the label of a session in PEM (PEM_STRING_SSL_SESSION).
const Label = "SSL SESSION PARAMETERS"

var (
	begin     = []byte("-----BEGIN ")
	beginLine = []byte("-----BEGIN " + Label + "-----")
	endLine   = []byte("-----END " + Label + "-----")
)

// ErrNoSession is wrapped by the error of [ParsePEM] for a file without sessions.
var ErrNoSession = errors.New("no PEM block of a session")

// ParsePEM decodes every session in a PEM file. Text before, between and after the blocks
// is ignored, because "openssl sess_id -text" writes some. A block that is damaged, is
// encrypted or has another label is an error, and then no session is returned. The error
// names the block and its offset in data; it wraps a [*SyntaxError] if the block itself
// was intact.
func ParsePEM(data []byte) ([]*Session, error) {
	var sessions []*Session
	at := 0
	for {
		start := nextBlock(data[at:])
		if start < 0 {
			break
		}
		at += start
		der, size, err := decodeBlock(data[at:])
		var s *Session
		if err == nil {
			s, err = Parse(der)
		}
		if err != nil {
			return nil, fmt.Errorf("PEM block %d, at byte %d: %w", len(sessions)+1, at, err)
		}
		sessions = append(sessions, s)
		at += size
	}
	if len(sessions) == 0 {
		return nil, fmt.Errorf("sslsession: %w, which begins with %q", ErrNoSession, beginLine)
	}
	return sessions, nil
}

// nextBlock returns where the next line begins that opens a PEM block, or -1.
func nextBlock(data []byte) int {
	if bytes.HasPrefix(data, begin) {
		return 0
	}
	if i := bytes.Index(data, append([]byte("\n"), begin...)); i >= 0 {
		return i + 1
	}
	return -1
}

// decodeBlock decodes the block that data begins with, and returns its size.
func decodeBlock(data []byte) (der []byte, size int, err error) {
	if !bytes.HasPrefix(data, beginLine) {
		return nil, 0, fmt.Errorf("sslsession: its label is not %q", Label)
	}
	size = bytes.Index(data, endLine)
	if size < 0 {
		return nil, 0, fmt.Errorf("sslsession: the line %q is missing", endLine)
	}
	size += len(endLine)
	if nextBlock(data[1:size]) >= 0 {
		return nil, 0, errors.New("sslsession: another block begins within it")
	}
	block, _ := pem.Decode(data[:size])
	switch {
	case block == nil:
		return nil, 0, errors.New("sslsession: it is not base64")
	case len(block.Headers) > 0:
		return nil, 0, errors.New("sslsession: it has headers, such as those of an encrypted block; decrypt it first")
	}
	return block.Bytes, size, nil
}

// MarshalPEM encodes the session in PEM, byte for byte as PEM_write_SSL_SESSION(3) does.
// The text is a live key.
func (s *Session) MarshalPEM() ([]byte, error) {
	der, err := s.Marshal()
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: Label, Bytes: der}), nil
}
