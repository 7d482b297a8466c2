package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/halfshake/halfshake/external"
	"github.com/halfshake/halfshake/internal/sessionrecord"
	"github.com/halfshake/halfshake/sslsession"
	"github.com/halfshake/halfshake/stores/boltstore"
)

// Read decodes every session in data, the content of a file, and finds out which format it
// is in. The error names the field and its offset, and comes without a session.
func Read(data []byte) ([]*Session, error) {
	switch {
	case len(data) == 0:
		return nil, errors.New("at byte 0: the file is empty")
	case bytes.HasPrefix(data, []byte(sessionrecord.Magic)) && !isText(data):
		return one(fromRecord(data))
	case hasBlock(data) && (data[0] != derSequence || isText(data)):
		return readPEM(data)
	case data[0] == derSequence:
		return one(readDER(data))
	}
	return nil, fmt.Errorf("at byte 0: the format is unknown: the file begins with %#02x; Halfshake's record begins with %q, DER with 0x30, and PEM has a line %q",
		data[0], sessionrecord.Magic, "-----BEGIN "+sslsession.Label+"-----")
}

const derSequence = 0x30

func one(s *Session, err error) ([]*Session, error) {
	if err != nil {
		return nil, err
	}
	return []*Session{s}, nil
}

func readDER(data []byte) (*Session, error) {
	ssl, err := sslsession.Parse(data)
	if err != nil {
		return nil, plain(err)
	}
	return &Session{DER, ssl, nil}, nil
}

func readPEM(data []byte) ([]*Session, error) {
	all, err := sslsession.ParsePEM(data)
	if err != nil {
		return nil, plainPEM(err)
	}
	sessions := make([]*Session, len(all))
	for i, ssl := range all {
		sessions[i] = &Session{PEM, ssl, nil}
	}
	return sessions, nil
}

// plain returns an error of package sslsession without its prefix, because the command adds
// its own.
func plain(err error) error { return errors.New(strings.ReplaceAll(err.Error(), "sslsession: ", "")) }

// plainPEM is plain for an error that may have two offsets: a block's in the file, and a
// field's in the block.
func plainPEM(err error) error {
	return plain(errors.New(strings.Replace(err.Error(), "sslsession: at byte", "in its DER, at byte", 1)))
}

// isText reports whether data has no control characters that text does not have. The
// INTEGER of 1 at the beginning of a session in DER has one.
func isText(data []byte) bool {
	return bytes.IndexFunc(data, func(r rune) bool { return r < ' ' && !strings.ContainsRune("\t\n\f\r", r) }) < 0
}

// hasBlock reports whether a line opens a PEM block.
func hasBlock(data []byte) bool {
	const begin = "-----BEGIN "
	return bytes.HasPrefix(data, []byte(begin)) || bytes.Contains(data, []byte("\n"+begin))
}

// ReadStore returns the sessions in a boltstore's file, and how many were sealed under
// other keys. It only reads the file.
func ReadStore(path string, keys *external.KeyRing) (sessions []*Session, foreign int, err error) {
	entries, err := boltstore.Entries(path)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		own := keys.Open(e.Key, e.Value)
		if own == nil {
			foreign++
			continue
		}
		record, err := own.MarshalBinary()
		if err != nil {
			return nil, 0, err
		}
		s, err := fromRecord(record)
		if err != nil {
			return nil, 0, fmt.Errorf("session %s: %w", own.Ref(), err)
		}
		sessions = append(sessions, s)
	}
	return sessions, foreign, nil
}
