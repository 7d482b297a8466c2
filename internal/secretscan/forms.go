package main

// Each form is read as a stream of units, the symbols that it writes a value
// in: bytes, hexadecimal digits, base64 digits. What cannot stand inside a
// value ends a stretch of the stream; within a stretch a value may begin and
// end at any unit, so that it is found whatever is printed next to it.

type form struct {
	name  string
	width uint // bits in a unit
	// tails are the numbers of bits by which the eighth byte of a value may end
	// before its unit does.
	tails []uint
	read  func(data []byte, emit func(bits uint8, at int), end func())
}

var forms = []form{
	{"as raw bytes", 8, []uint{0}, readRaw},
	{"in an escaped string", 8, []uint{0}, readEscaped},
	{"in hexadecimal", 4, []uint{0}, readHex},
	{"in a hex dump", 4, []uint{0}, readDump},
	{"in base64", 6, []uint{0, 2, 4}, readBase64},
	{"as a list of numbers", 8, []uint{0}, readNumbers},
}

func readRaw(data []byte, emit func(uint8, int), _ func()) {
	for i, b := range data {
		emit(b, i)
	}
}

// hexDigit has the value of each hexadecimal digit, and 0xff elsewhere.
var hexDigit = digits("0123456789abcdef", "0123456789ABCDEF")

// base64Digit reads the standard and the URL alphabet alike.
var base64Digit = digits(
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")

func digits(alphabets ...string) (t [256]uint8) {
	for i := range t {
		t[i] = 0xff
	}
	for _, a := range alphabets {
		for v := range len(a) {
			t[a[v]] = uint8(v)
		}
	}
	return t
}

// readHex reads digits of either case, passing over what programs print
// between two bytes: colons, spaces, commas, dashes, line ends, and the
// prefixes 0x and \x.
func readHex(data []byte, emit func(uint8, int), end func()) {
	for i := 0; i < len(data); i++ {
		c := data[i]
		next := byte(0)
		if i+1 < len(data) {
			next = data[i+1]
		}
		switch {
		case (c == '0' || c == '\\') && (next == 'x' || next == 'X'):
			i++
		case hexDigit[c] != 0xff:
			emit(hexDigit[c], i)
		case c == ':' || c == ' ' || c == ',' || c == '-' || c == '\n' || c == '\r' || c == '\t':
		default:
			end()
		}
	}
}

// readBase64 passes over line ends, also those that a string literal spells
// out, because long values are printed in lines.
func readBase64(data []byte, emit func(uint8, int), end func()) {
	for i := 0; i < len(data); i++ {
		c := data[i]
		switch {
		case base64Digit[c] != 0xff:
			emit(base64Digit[c], i)
		case c == '\n' || c == '\r':
		case c == '\\' && i+1 < len(data) && (data[i+1] == 'n' || data[i+1] == 'r'):
			i++
		default:
			end()
		}
	}
}

// readNumbers reads lists of numbers below 256, as %v, %#v and JSON print
// bytes: decimal, or hexadecimal after 0x and perhaps of one digit.
func readNumbers(data []byte, emit func(uint8, int), end func()) {
	for i := 0; i < len(data); {
		c := data[i]
		if c < '0' || c > '9' {
			if c != ' ' && c != ',' && c != '\n' && c != '\r' && c != '\t' {
				end()
			}
			i++
			continue
		}
		start, base, n := i, 10, 0
		if c == '0' && i+1 < len(data) && data[i+1] == 'x' {
			base, i = 16, i+2
		}
		for i < len(data) && int(hexDigit[data[i]]) < base {
			n = min(n*base+int(hexDigit[data[i]]), 1000)
			i++
		}
		if n > 255 {
			end()
			continue
		}
		emit(uint8(n), start)
	}
}

// readDump reads the byte columns of hex dumps such as those of
// encoding/hex.Dump, xxd, hexdump -C and the openssl command: on each line an
// offset, up to sixteen bytes, and text.
func readDump(data []byte, emit func(uint8, int), end func()) {
	for i := 0; i < len(data); {
		lineEnd := i
		for lineEnd < len(data) && data[lineEnd] != '\n' {
			lineEnd++
		}
		if !readDumpLine(data[i:lineEnd], i, emit) {
			end()
		}
		i = lineEnd + 1
	}
}

func readDumpLine(line []byte, base int, emit func(uint8, int)) bool {
	i := 0
	for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
		i++
	}
	start := i
	for i < len(line) && hexDigit[line[i]] != 0xff {
		i++
	}
	if n := i - start; n < 4 || n > 8 || i == len(line) {
		return false
	}
	emitted := 0
	for emitted < 16 {
		separators := 0
		for i < len(line) && separators < 3 && (line[i] == ' ' || line[i] == '-' || line[i] == ':') {
			i++
			separators++
		}
		if separators == 3 && emitted > 0 {
			break // the text column
		}
		if i+1 >= len(line) || hexDigit[line[i]] == 0xff || hexDigit[line[i+1]] == 0xff {
			break
		}
		emit(hexDigit[line[i]], base+i)
		emit(hexDigit[line[i+1]], base+i+1)
		i += 2
		emitted++
	}
	return emitted > 0
}
