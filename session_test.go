package halfshake

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/sessionrecord"
)

func TestSessionEncoding(t *testing.T) {
	for _, version := range versions {
		c := newCache(t, Config{Scope: "test"})
		s := madeUnder(t, c, verifying(), version)
		data := must(s.MarshalBinary())(t)
		again := must(ParseSession(data))(t)
		if again.serial == s.serial {
			t.Error("a parsed session passes for the one that was encoded")
		}
		if !bytes.Equal(must(again.MarshalBinary())(t), data) || len(data) != s.encodedSize() {
			t.Error("the encoding does not come back")
		}
		if again.String() != s.String() || again.Scope() != s.Scope() || len(again.PeerCertificates()) != 2 {
			t.Errorf("%v became %v", s, again)
		}
		for i := range data {
			if _, err := ParseSession(data[:i]); !errors.Is(err, ErrBadSession) {
				t.Fatalf("the first %d bytes parse: %v", i, err)
			}
		}
		if _, err := ParseSession(append(data, 0)); !errors.Is(err, ErrBadSession) {
			t.Error("trailing bytes parse")
		}
	}
	if _, err := ParseSession(make([]byte, MaxSessionSize+1)); !errors.Is(err, ErrBadSession) || !strings.Contains(err.Error(), "16384") {
		t.Errorf("too large: %v", err)
	}
	if _, err := (*Session)(nil).AppendBinary(nil); err == nil {
		t.Error("nil was encoded")
	}
}

// What no session can be does not parse, and what was parsed does not change with
// the bytes that it was parsed from.
func TestParseSessionIsStrict(t *testing.T) {
	c := newCache(t, Config{})
	good := testSession(c, 10)
	for name, change := range map[string]func(*Session){
		"no id":                      func(s *Session) { s.id = "" },
		"an id of 33 bytes":          func(s *Session) { s.id = strings.Repeat("x", 33) },
		"expires before it is made":  func(s *Session) { s.expires = s.created - 1 },
		"expires at the end of time": func(s *Session) { s.expires = math.MaxInt64 },
		"a limit before its expiry":  func(s *Session) { s.limit = s.expires - 1 },
		"no state":                   func(s *Session) { s.state = nil },
	} {
		bad := *good
		change(&bad)
		data := must(bad.MarshalBinary())(t)
		if _, err := ParseSession(data); !errors.Is(err, ErrBadSession) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := sessionrecord.Parse(data); err == nil {
			t.Errorf("%s: package sessionrecord accepts it", name)
		}
	}
	data := must(good.MarshalBinary())(t)
	parsed := must(ParseSession(data))(t)
	clear(data)
	if parsed.id != good.id || !bytes.Equal(must(parsed.MarshalBinary())(t), must(good.MarshalBinary())(t)) {
		t.Error("the session changed with the bytes that it was parsed from")
	}
}

// A record with one bit turned over is no session, wherever the bit is.
func TestFlippedBit(t *testing.T) {
	data := must(testSession(newCache(t, Config{}), 10).MarshalBinary())(t)
	for bit := range 8 * len(data) {
		data[bit/8] ^= 1 << (bit % 8)
		if _, err := ParseSession(data); !errors.Is(err, ErrBadSession) {
			t.Fatalf("bit %d of %d: %v", bit, 8*len(data), err)
		}
		data[bit/8] ^= 1 << (bit % 8)
	}
}

// TestRecordErrors damages a record at every byte, and checks that package sessionrecord
// accepts what ParseSession does, and otherwise names the field.
func TestRecordErrors(t *testing.T) {
	c := newCache(t, Config{})
	good := must(testSession(c, 10).MarshalBinary())(t)
	state, err := sessionrecord.Parse(good)
	if want := testSession(c, 10).state; err != nil || len(state.Bytes) != len(want) || !bytes.Equal(good[state.Offset:][:len(want)], state.Bytes) {
		t.Fatalf("the state in a good record: %v, %v", state, err)
	}
	wrong := func(data []byte) *sessionrecord.SyntaxError {
		t.Helper()
		_, parsed := ParseSession(data)
		_, err := sessionrecord.Parse(data)
		problem, _ := errors.AsType[*sessionrecord.SyntaxError](err)
		if (parsed == nil) != (err == nil) || problem == nil || problem.Field == "" || problem.Offset > len(data) {
			t.Fatalf("%d bytes: ParseSession says %v, Parse %v", len(data), parsed, err)
		}
		return problem
	}
	seen := make(map[string]int)
	for i := range good {
		seen[wrong(good[:i]).Field]++
		data := bytes.Clone(good)
		data[i] ^= 0x40
		wrong(data)
	}
	for field, size := range map[string]int{"format": 4, "lineage": 16, "times": 24, "scope": 32, "checksum": 4} {
		if seen[field] != size {
			t.Errorf("%d cuts are in the field %s; it has %d bytes", seen[field], field, size)
		}
	}
	if got := wrong(append(bytes.Clone(good), 0)); got.Offset != len(good) {
		t.Errorf("a byte at the end: %v", got)
	}
	wrong(make([]byte, MaxSessionSize+1))
}

// Fields of kinds that nobody knows yet come back as they were. They are in ascending
// order, each once.
func TestFields(t *testing.T) {
	s := *testSession(newCache(t, Config{}), 10)
	for _, test := range []struct {
		fields string
		good   bool
	}{
		{"", true},
		{"\x00\x00\x00\x00", true},
		{"\x00\x01\x00\x02ab\xff\xff\x00\x01c", true},
		{"\x00\x01\x00\x02a", false},
		{"\x00\x01\x00", false},
		{"\x00\x01\x00\x00\x00\x01\x00\x00", false},
		{"\x00\x02\x00\x00\x00\x01\x00\x00", false},
		{"\x00\x03\x00\x00\x00\x03\x00\x00", false},
		{"\x00\x03\x00\x00\x00\x02\x00\x00", false},
	} {
		s.fields = []byte(test.fields)
		data := must(s.MarshalBinary())(t)
		again, err := ParseSession(data)
		_, problem := sessionrecord.Parse(data)
		if good := err == nil; good != test.good || good != (problem == nil) {
			t.Errorf("%q: %v, and package sessionrecord says %v", test.fields, err, problem)
		} else if good && !bytes.Equal(must(again.MarshalBinary())(t), data) {
			t.Errorf("%q did not come back", test.fields)
		}
	}
}

// What comes out of the internal cache is what went in, also where the clock was set
// back since, and by the same serial; AppendBinary writes what MarshalBinary does.
func TestCachedSessionComesBack(t *testing.T) {
	for _, version := range versions {
		c := newCache(t, Config{Scope: "test"})
		s := madeUnder(t, c, verifying(), version)
		s.proved, s.fields = nil, []byte{} // the cache keeps what the encoding has
		setBack := *s
		setBack.id, setBack.serial = string(randomID()), nextSerial()
		setBack.alpn, setBack.created, setBack.expires = "h2", s.created-50, s.expires+50
		for _, want := range []*Session{s, &setBack} {
			c.Remove(want)
			c.Add(want)
			got, ok := c.internal.Get(want.id)
			if !ok || got.Session == want || !reflect.DeepEqual(*got.Session, *want) {
				t.Errorf("%v came back as %v", want, got.Session)
			}
			data := must(want.MarshalBinary())(t)
			if more := must(want.AppendBinary([]byte("x")))(t); string(more) != "x"+string(data) {
				t.Error("AppendBinary does not append what MarshalBinary returns")
			}
		}
	}
}

// What parses encodes to the same bytes, and no bytes do harm: accessors, Add,
// the ladder.
func FuzzParseSessionReencodes(f *testing.F) {
	c, _ := New(Config{Scope: "test"})
	f.Cleanup(func() { c.Close() })
	for _, version := range versions {
		for _, config := range []*tls.Config{serverConfig(), verifying()} {
			data, _ := madeUnder(f, c, config, version).MarshalBinary()
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseSession(data)
		if _, problem := sessionrecord.Parse(data); (problem == nil) != (err == nil) {
			t.Fatalf("package sessionrecord says %v, ParseSession %v", problem, err)
		}
		if err != nil {
			return
		}
		if again, err := s.MarshalBinary(); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("re-encoding: %v", err)
		}
		if s.PeerCertificates(); s.Expires().Before(s.Created()) {
			t.Fatal("expires before it is created")
		}
		if c.Add(s) != !s.expiredAt(c.now()) {
			t.Fatal("Add")
		}
		c.Remove(s)
		c.refuse(proposing(c, policyWith(verifying(), "test", ""), s, s.serverName), &found{Session: s})
	})
}

// No way of printing a session shows its id or secret.
func TestSessionRedactsItself(t *testing.T) {
	c := newCache(t, Config{})
	s := madeUnder(t, c, serverConfig(), tls.VersionTLS12)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "session", s, "sessions", []*Session{s})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "session", s, "value", *s)
	out := log.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%T"} {
		out += fmt.Sprintf(verb, s) + fmt.Sprintf(verb, []any{s, map[string]*Session{"s": s}, sessionEntry{s}})
	}
	//lint:ignore SA9005 that there is nothing to marshal is what is tested
	js, _ := json.Marshal(s)
	out += string(js) + fmt.Sprint(s.GoString(), (*Session)(nil))
	mustNotContain(t, out, s.ID())
	mustNotContain(t, out, secretOf(s.state))
	if !strings.Contains(out, s.Ref()) {
		t.Error("the ref is not there")
	}
	if again := reparse(t, s); again.Ref() != s.Ref() || strings.Contains(s.Ref(), hex.EncodeToString(s.ID()[:4])) {
		t.Error("the ref is not a digest of the id")
	}
}

func mustNotContain(t *testing.T, text string, secret []byte) {
	t.Helper()
	for _, form := range []string{string(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret)), strings.Trim(fmt.Sprint(secret), "[]")} {
		if strings.Contains(text, form) {
			t.Errorf("a secret is shown in: %.80q…", text)
		}
	}
}

// withoutID takes out what a callback's error may tell.
func TestErrorsAreCleanedOfTheID(t *testing.T) {
	for range 100 {
		id := randomID()
		text := fmt.Sprintf("%s|%x|%X|% x|%v|%q|%+q|%s", id, id, id, id, id, id, id, []byte(id))
		mustNotContain(t, withoutID(text, string(id)), id)
	}
	if got := withoutID("redis: connection refused", string(randomID())); got != "redis: connection refused" {
		t.Errorf("%q", got)
	}
}

func TestStatsJSONHasOpenSSLsNames(t *testing.T) {
	c := newCache(t, Config{})
	var got map[string]any
	if err := json.Unmarshal(must(json.Marshal(c.Stats()))(t), &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields("number connect connect_good connect_renegotiate accept accept_good accept_renegotiate hits cb_hits misses timeouts cache_full refused") {
		if _, ok := got[name]; !ok {
			t.Errorf("no %q", name)
		}
	}
	refused := got["refused"].(map[string]any)
	if len(refused) != int(endOfRefusals)-1 || refused["scope"] == nil {
		t.Errorf("refused: %v", refused)
	}
	var back Stats
	if err := json.Unmarshal(must(json.Marshal(c.Stats()))(t), &back); err != nil || len(back.Refused) != len(refused) {
		t.Errorf("the JSON does not come back: %v", err)
	}
}

// Names of causes and reasons are there, once each.
func TestNamesAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for r := Refusal(1); r < endOfRefusals; r++ {
		if name := r.String(); name == "" || seen[name] {
			t.Errorf("refusal %d: %q", r, name)
		} else {
			seen[name] = true
		}
	}
	clear(seen)
	for c := CauseExpired; c <= CauseClosed; c++ {
		if name := c.String(); name == "" || name == "unknown" || seen[name] {
			t.Errorf("cause %d: %q", c, name)
		} else {
			seen[name] = true
		}
	}
}

// The accounted bytes are at least what sessions take of the heap, with and
// without client certificates, as crypto/tls encodes them.
func TestAccountedBytesCoverTheHeap(t *testing.T) {
	const n = 5_000
	for _, chain := range []int{0, 1, 5, 12, 24} {
		config, cl := serverConfig(), newClient(tls.VersionTLS13)
		if chain > 0 {
			config.ClientAuth = tls.RequireAnyClientCert
			cert := clientCA.Client("alice", time.Now().Add(time.Hour))
			for range chain - 1 {
				cert.Certificate = append(cert.Certificate, clientRoot.Cert.Raw)
			}
			cl.withCert(cert)
		}
		c := newCache(t, Config{Scope: "test", Size: -1})
		made := madeThrough(t, c, viaServer.open(t, c, config), cl)
		ss := must(tls.ParseSessionState(made.state))(t)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range n {
			state := must(ss.Bytes())(t) // with room to spare, as WrapSession gets it
			makes(c, policyWith(config, "test", ""), made.serverName, made.version, state)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		used, accounted := int64(after.HeapAlloc)-int64(before.HeapAlloc), c.internal.Bytes()
		t.Logf("a chain of %d: %d bytes of state, %d of heap, accounted at %d", chain, len(made.state), used/n, accounted/n)
		if used > accounted || accounted*4 > used*5 {
			t.Errorf("%d bytes of heap are accounted at %d", used, accounted)
		}
	}
}

// A chain that makes a session larger than 16 KiB is not cached, and its
// handshake is none the worse.
func TestTooLarge(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		big := clientCA.Client("alice", time.Now().Add(time.Hour))
		for range 40 { // crypto/tls takes chains longer than they need to be
			big.Certificate = append(big.Certificate, clientRoot.Cert.Raw)
		}
		c := newCache(t, Config{Scope: "test"})
		open, cl := d.open(t, c, verifying()), newClient(version).withCert(big)
		for range 2 {
			if connectOK(t, open, cl).resumed {
				t.Error("resumed")
			}
		}
		if st := c.Stats(); st.Refused[RefusedTooLarge] != 2 || st.Number != 0 {
			t.Errorf("%+v", st)
		}
	})
}
