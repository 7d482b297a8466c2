package external

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/internal/testsecrets"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// testKeys returns a ring whose secret the run's output is searched for.
func testKeys(now time.Time) *KeyRing {
	r := GenerateKeys(now)
	recordKeys(r)
	return r
}

func recordKeys(r *KeyRing) {
	for _, k := range r.keys {
		testsecrets.Record(k.secret)
	}
}

func textOf(t testing.TB, r *KeyRing) string {
	t.Helper()
	text, err := r.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestKeyFileRoundTrip(t *testing.T) {
	r := testKeys(noon)
	for i := 1; i < MaxKeys; i++ {
		var err error
		if r, err = r.Rotate(noon, noon.Add(time.Duration(i)*time.Hour)); err != nil {
			t.Fatal(err)
		}
		recordKeys(r)
	}
	text := textOf(t, r)
	if len(text) > maxKeyFile {
		t.Errorf("a full ring has %d bytes, more than maxKeyFile", len(text))
	}
	back, err := ParseKeys([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if textOf(t, back) != text {
		t.Error("what was parsed is written otherwise")
	}
	id := r.keys[3].newID()
	if k := back.maker(id); k == nil || k.name(id) != r.keys[3].name(id) {
		t.Error("an id of the ring is not one of the parsed ring")
	}
}

// CVE-2020-13777 (GnuTLS): a ticket key of zeros until the first rotation.
func TestBadKeyFiles(t *testing.T) {
	good := textOf(t, testKeys(noon))
	line := strings.TrimPrefix(good, keyFileHeader+"\n")
	secret := strings.TrimSuffix(line[len(line)-65:], "\n")
	other := strings.TrimPrefix(textOf(t, testKeys(noon.Add(time.Hour))), keyFileHeader+"\n")
	replaced := func(with string) string { return strings.Replace(good, secret, with, 1) }
	cases := map[string]struct{ text, says string }{
		"empty":            {"", "it is empty"},
		"header alone":     {keyFileHeader + "\n", "it has no key"},
		"header, no end":   {keyFileHeader, "it has no key"},
		"other header":     {"halfshake fleet keys 2\n" + line, "line 1 is not"},
		"cut off":          {good[:len(good)-1], "cut off"},
		"CR LF":            {strings.ReplaceAll(good, "\n", "\r\n"), "CR LF"},
		"zero key":         {replaced(strings.Repeat("0", 64)), "line 2: a key of equal bytes"},
		"equal bytes":      {replaced(strings.Repeat("a5", 32)), "line 2: a key of equal bytes"},
		"short key":        {replaced(secret[:62]), "line 2: a key has 32 bytes, this one has 31"},
		"no key":           {replaced(""), "line 2: a key has 32 bytes, this one has 0"},
		"long key":         {replaced(secret + "00"), "line 2: a key has 32 bytes, this one has 33"},
		"upper case":       {replaced(strings.Repeat("AB", 31) + "CD"), "64 hexadecimal digits"},
		"no digits":        {replaced(strings.Repeat("x", 64)), "64 hexadecimal digits"},
		"no time":          {keyFileHeader + "\n" + secret + "\n", "does not begin with a time"},
		"time zone":        {strings.Replace(good, "Z ", "+01:00 ", 1), "does not begin with a time"},
		"fraction":         {strings.Replace(good, "Z ", ".5Z ", 1), "does not begin with a time"},
		"two spaces":       {strings.Replace(good, "Z ", "Z  ", 1), "64 hexadecimal digits"},
		"empty line":       {good + "\n", "line 3: it does not begin"},
		"comment":          {good + "# mine\n", "line 3: it does not begin"},
		"twice":            {good + strings.Replace(line, "12:00", "13:00", 1), "line 3: it repeats a key"},
		"wrong order":      {keyFileHeader + "\n" + other + line, "line 3: its time is not later"},
		"too many":         {keyFileHeader + "\n" + manyKeys(MaxKeys+1), fmt.Sprintf("line %d: a ring has at most %d keys", MaxKeys+2, MaxKeys)},
		"much too long":    {good + strings.Repeat("#", 1<<20) + "\n", "take no more than"},
		"something else":   {"-----BEGIN PRIVATE KEY-----\n", "line 1 is not"},
		"a key's bytes":    {string([]byte{1, 2, 3}), "line 1 is not"},
		"leading newline":  {"\n" + good, "line 1 is not"},
		"time of the past": {strings.Replace(good, "2026", "226", 1), "does not begin with a time"},
	}
	for name, c := range cases {
		r, err := ParseKeys([]byte(c.text))
		if r != nil || !errors.Is(err, ErrBadKeys) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want an error that says %q", name, err, c.says)
			continue
		}
		if strings.Contains(err.Error(), secret[:16]) {
			t.Errorf("%s: the error shows the key", name)
		}
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		k := randomKey(noon.Add(time.Duration(i) * time.Hour))
		testsecrets.Record(k.secret)
		fmt.Fprintf(&b, "%s %x\n", stamp(k.active), k.secret)
	}
	return b.String()
}

// A key that is added is used from its time on, and known before.
func TestRotation(t *testing.T) {
	old := testKeys(noon)
	ring, err := old.Rotate(noon, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	recordKeys(ring)
	before, after := ring.current(noon.Add(59*time.Minute)), ring.current(noon.Add(time.Hour))
	if before == after {
		t.Error("the new key is not used from its time on")
	}
	if id := before.newID(); old.maker(id) == nil || ring.maker(id) == nil {
		t.Error("before the rotation, an id is not known to the rings before and after")
	}
	if id := after.newID(); ring.maker(id) != after || old.maker(id) != nil {
		t.Error("after the rotation, an id is not told from one of the old key")
	}
	if ring.current(noon.Add(-time.Hour)) != before {
		t.Error("a clock that is behind does not use the eldest key")
	}
}

// Keys go when no session under them can be valid, and not before.
func TestRotateDropsDeadKeys(t *testing.T) {
	first := testKeys(noon)
	second, err := first.Rotate(noon, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after time.Duration // the second's activation
		left  int
	}{{halfshake.MaxTimeout, 3}, {halfshake.MaxTimeout + time.Hour, 3}, {halfshake.MaxTimeout + time.Hour + time.Second, 2}} {
		now := noon.Add(time.Hour + c.after)
		third, err := second.Rotate(now, now.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		recordKeys(third)
		if len(third.keys) != c.left {
			t.Errorf("%v after the second key's activation, rotation leaves %d keys, want %d", c.after, len(third.keys), c.left)
		}
	}
}

func TestRotateRefuses(t *testing.T) {
	r := testKeys(noon)
	if _, err := r.Rotate(noon, noon); err == nil || !strings.Contains(err.Error(), "choose a later time") {
		t.Errorf("a key that is active with the last one: %v", err)
	}
	for i := 1; i < MaxKeys; i++ {
		r, _ = r.Rotate(noon, noon.Add(time.Duration(i)*time.Hour))
	}
	recordKeys(r)
	if _, err := r.Rotate(noon, noon.Add(100*time.Hour)); err == nil || !strings.Contains(err.Error(), "wait until") {
		t.Errorf("one key more than fits: %v", err)
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	r := testKeys(noon)
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("keys", "ring", r, "value", *r)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		fmt.Fprintf(&out, verb+" "+verb+"\n", r, *r)
	}
	testsecrets.LogWriter().Write(out.Bytes())
	for _, form := range []string{fmt.Sprintf("%x", r.keys[0].secret), fmt.Sprint(r.keys[0].secret), string(r.keys[0].secret)} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the secret is printed: %s", form[:8])
		}
	}
}

func FuzzKeyFile(f *testing.F) {
	r := GenerateKeys(noon)
	f.Add([]byte(textOf(f, r)))
	r, _ = r.Rotate(noon, noon.Add(time.Hour))
	f.Add([]byte(textOf(f, r)))
	f.Add([]byte(keyFileHeader + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseKeys(text)
		if err != nil {
			return
		}
		if again := textOf(t, r); again != string(text) {
			t.Fatalf("%d bytes parse and are written as %d others", len(text), len(again))
		}
		if len(r.keys) == 0 || len(r.keys) > MaxKeys {
			t.Fatalf("a ring of %d keys", len(r.keys))
		}
	})
}

// TestKeyRingOpens opens a value that was sealed under the older of two keys, and nothing
// that was moved, changed or sealed under another ring.
func TestKeyRingOpens(t *testing.T) {
	older := testKeys(noon)
	ring, err := older.Rotate(noon, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	recordKeys(ring)
	k := &older.keys[0]
	id := k.newID()
	record, err := SessionOf(t, id, lineageAt(noon), halfshake.ScopeID{}, false).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	value, err := k.seal(k.name(id), record)
	if err != nil {
		t.Fatal(err)
	}
	if s := ring.Open(k.name(id), value); s == nil || !bytes.Equal(s.ID(), id) {
		t.Errorf("opened: %v", s)
	}
	changed := bytes.Clone(value)
	changed[len(changed)-1] ^= 1
	if ring.Open(k.name(k.newID()), value) != nil || ring.Open(k.name(id), changed) != nil || testKeys(noon).Open(k.name(id), value) != nil {
		t.Error("a value opens that was moved, changed, or sealed under another ring")
	}
}
