package external

import (
	"bytes"
	"testing"
	"time"
)

// A list keeps the newest four ids, each once, and none that has expired.
func TestList(t *testing.T) {
	now := time.Unix(1000, 0)
	var l list
	for i := range byte(6) {
		next, displaced := l.with(listed{[idSize]byte{i}, 1000 + int64(i)}, now)
		if len(displaced) != max(0, int(i)-3) && i < 5 {
			t.Errorf("%d: %d displaced", i, len(displaced))
		}
		l = next
	}
	if len(l) != maxListed || l[0].id[0] != 5 || l[3].id[0] != 2 || !l.expires().Equal(time.Unix(1005, 0)) {
		t.Errorf("%v", l)
	}
	if again, _ := l.with(listed{l[2].id, 2000}, now); len(again) != maxListed || again[0].expires != 2000 || !again.expires().Equal(time.Unix(2000, 0)) {
		t.Errorf("an id came twice: %v", again)
	}
	if late, _ := l.with(listed{[idSize]byte{9}, 3000}, time.Unix(1004, 0)); len(late) != 3 {
		t.Errorf("expired ids stay: %v", late)
	}
}

// What parses as a list encodes to the same bytes again, and has at most four ids.
func FuzzList(f *testing.F) {
	f.Add(list{{[idSize]byte{1}, 1000}, {[idSize]byte{2}, 2000}}.encode())
	f.Add([]byte{0x48, 0x4c, 0, 1, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		l, ok := parseList(data)
		if ok && (!bytes.Equal(l.encode(), data) || len(l) > maxListed) {
			t.Errorf("%x parses to %d ids and encodes to %x", data, len(l), l.encode())
		}
	})
}
