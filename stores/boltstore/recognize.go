package boltstore

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// Recognizes reports whether the file at path is, or was before it was damaged, one
// of this package's, or is empty or not there. Open does not ask, and sets aside
// what is not: it is for programs whose user names the path, and may have named
// another file of his.
func Recognizes(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, pageSize+pageHeaderSize+metaSize)
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return false, err
	}
	if n == 0 {
		return true, nil
	}
	return hasMeta(head[pageHeaderSize:]) || hasMeta(head[pageSize+pageHeaderSize:]), nil
}

// hasMeta reports whether b begins like a meta of bbolt's, of pages of our size.
func hasMeta(b []byte) bool {
	return order.Uint32(b) == boltMagic && order.Uint32(b[8:]) == pageSize
}
