package boltstore

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// Recognizes reports whether it is safe to pass path to Open: the file was written by
// this package, even if it is damaged, or it is empty or does not exist. Open itself does
// not check this, and sets aside any other file. A program whose users choose the path
// should check, because they may name another program's file.
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

// hasMeta reports whether b starts like a meta of a bbolt file with our page size.
func hasMeta(b []byte) bool {
	return order.Uint32(b) == boltMagic && order.Uint32(b[8:]) == pageSize
}
