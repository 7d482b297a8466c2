package main

import (
	"bytes"
	"unicode/utf8"
)

// readEscaped undoes the backslash escapes of Go and JSON string literals.
// Without a backslash in the file it reads nothing: the raw form covers it.
func readEscaped(data []byte, emit func(uint8, int), _ func()) {
	if bytes.IndexByte(data, '\\') < 0 {
		return
	}
	var buf [utf8.UTFMax]byte
	for i := 0; i < len(data); {
		out, n := unescape(data[i:], &buf)
		for _, b := range out {
			emit(b, i)
		}
		i += n
	}
}

// unescape returns the bytes that the beginning of data stands for, and how
// long that beginning is. What is no escape stands for itself.
func unescape(data []byte, buf *[utf8.UTFMax]byte) (out []byte, n int) {
	if data[0] != '\\' || len(data) < 2 {
		return data[:1], 1
	}
	switch c := data[1]; c {
	case 'x':
		if v, ok := number(data[2:], 2, 16); ok {
			return append(buf[:0], byte(v)), 4
		}
	case 'u':
		if v, ok := number(data[2:], 4, 16); ok {
			return utf8.AppendRune(buf[:0], rune(v)), 6
		}
	case 'U':
		if v, ok := number(data[2:], 8, 16); ok {
			return utf8.AppendRune(buf[:0], rune(v)), 10
		}
	case '0', '1', '2', '3':
		if v, ok := number(data[1:], 3, 8); ok {
			return append(buf[:0], byte(v)), 4
		}
	case '\\', '"', '\'', '/':
		return data[1:2], 2
	default:
		if i := bytes.IndexByte([]byte("abfnrtv"), c); i >= 0 {
			return append(buf[:0], "\a\b\f\n\r\t\v"[i]), 2
		}
	}
	return data[:1], 1
}

// number reads exactly width digits.
func number(data []byte, width int, base uint32) (v uint32, ok bool) {
	if len(data) < width {
		return 0, false
	}
	for _, c := range data[:width] {
		d := uint32(hexDigit[c])
		if d >= base {
			return 0, false
		}
		v = v*base + d
	}
	return v, true
}
