package halfshake

import (
	"bytes"
	"testing"
	"testing/iotest"
)

// What readHello takes, and how far it reads: to the end of the record in which the
// message ends, and not much of what has come behind it.
func TestReadHello(t *testing.T) {
	one := helloWithTicket(nil)
	split := append([]byte{22, 3, 1, 0, 3}, one[5:8]...)
	split = append(split, 22, 3, 1, byte((len(one)-8)>>8), byte(len(one)-8))
	split = append(split, one[8:]...)
	record := append([]byte{22, 3, 1, 0x40, 0}, make([]byte, 1<<14)...)
	large := append([]byte{22, 3, 1, 0x40, 0, 1, 1, 0, 0}, make([]byte, 1<<14-4)...) // of 64 KiB and its header
	endless := bytes.Repeat([]byte{22, 3, 1, 0, 1, 1}, 2*maxHelloRecords)
	for name, step := range map[string]struct {
		in    []byte
		read  int
		whole bool
		ended bool
	}{
		"whole":              {one, len(one), true, false},
		"more behind it":     {append(bytes.Clone(one), 1, 2, 3), len(one), true, false},
		"in two records":     {split, len(split), true, false},
		"half":               {one[:20], 20, false, true},
		"nothing":            {nil, 0, false, true},
		"HTTP":               {[]byte("GET / HTTP/1.1\r\n"), 5, false, false},
		"another message":    {record, len(record), false, false},
		"too large":          {append(large, bytes.Repeat(record, 10)...), len(large), false, false},
		"an empty record":    {[]byte{22, 3, 1, 0, 0, 22}, 5, false, false},
		"a byte in each":     {endless, 6 * 4, false, false}, // its length is nonsense: more than 64 KiB
		"an oversize record": {[]byte{22, 3, 1, 0x40, 1, 1}, 5, false, false},
	} {
		r := bytes.NewReader(step.in)
		var want []byte
		if step.whole {
			want = one[5:]
		}
		data, hello, err := readHello(r)
		taken := len(step.in) - r.Len()
		if !bytes.Equal(data, step.in[:taken]) || !bytes.Equal(hello, want) || (err != nil) != step.ended || taken < step.read || taken > 2*step.read+4<<10 {
			t.Errorf("%s: %d bytes of %d, message of %d, %v; want %d, %v", name, len(data), taken, len(hello), err, step.read, step.whole)
		}
		// As slowly as can be, it reads nothing that it has no need of.
		r.Reset(step.in)
		if data, hello, err = readHello(iotest.OneByteReader(r)); len(data) != step.read || !bytes.Equal(hello, want) || (err != nil) != step.ended {
			t.Errorf("%s, a byte at a time: %d bytes, message of %d, %v; want %d, %v", name, len(data), len(hello), err, step.read, step.whole)
		}
	}
	drip := append([]byte{22, 3, 1, 0, 4, 1, 0, 1, 0}, bytes.Repeat([]byte{22, 3, 1, 0, 1, 0}, 255)...) // 256 bytes, one a record
	if data, hello, err := readHello(iotest.OneByteReader(bytes.NewReader(drip))); hello != nil || err != nil || len(data) != 9+6*(maxHelloRecords-1) {
		t.Errorf("%d bytes in many records: message of %d, %v", len(data), len(hello), err)
	}
}
