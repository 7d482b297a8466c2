package sessioncache

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// session is a value that says what it is told to say.
type session struct {
	key    string
	serial uint64
	expiry int64
	size   int
	pad    int // how many bytes its record has more than it needs
}

func (s session) Key() string         { return s.key }
func (s session) Serial() uint64      { return s.serial }
func (s session) ExpirySecond() int64 { return s.expiry }
func (s session) Size() int           { return s.size }

func (s session) AppendRecord(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(s.expiry))
	b = binary.BigEndian.AppendUint64(b, uint64(s.size))
	return append(b, padding(s.serial, s.pad)...)
}

// padding is of n bytes that no other session's has, nor another place in it.
func padding(serial uint64, n int) []byte {
	var b []byte
	for x := serial << 32; len(b) < n; x++ {
		mixed := (x ^ x>>29) * 0xbf58476d1ce4e5b9 // as splitmix64 does it
		b = binary.BigEndian.AppendUint64(b, mixed^mixed>>32)
	}
	return b[:n]
}

// decode panics at a record that is not what AppendRecord made, and writes where
// only it may.
func decode(serial uint64, key, record []byte) session {
	_ = append(key, "not the record's"...)
	s := session{key: string(key), serial: serial, expiry: int64(binary.BigEndian.Uint64(record)), size: int(binary.BigEndian.Uint64(record[8:])), pad: len(record) - 16}
	if !bytes.Equal(record[16:], padding(serial, s.pad)) {
		panic(fmt.Sprintf("the record of %v came back damaged", s))
	}
	return s
}

func (s session) String() string {
	if s == (session{}) {
		return "none"
	}
	return fmt.Sprintf("%s#%d@%d", s.key, s.serial, s.expiry)
}

var _ Value = session{}

// made makes a session of size 1 whose serial nobody else has.
func made(key string, expiry int64) session {
	serials++
	return session{key: key, serial: serials, expiry: expiry, size: 1}
}

func sized(key string, expiry int64, size int) session {
	s := made(key, expiry)
	s.size = size
	return s
}

var serials uint64 = 1 << 32 // tests that use it do not run in parallel

func same[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func sameSlice[T comparable](t testing.TB, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// checked is a cache of the given limits whose sessions tests name by key.
type checked struct {
	*Cache[session]
	t testing.TB
}

func newChecked(t testing.TB, limits Limits) checked {
	return checked{New(limits, decode), t}
}

func (c checked) put(s session, to Part) Change[session] {
	c.t.Helper()
	change := c.Put(s, to)
	c.check(c.t)
	return change
}

func (c checked) promote(s session, to Part) bool {
	c.t.Helper()
	ok := c.Promote(s, to)
	c.check(c.t)
	return ok
}

// expire is Expire, ranged over to its end.
func (c checked) expire(now time.Time) []session {
	c.t.Helper()
	return c.gone(c.Expire(now))
}

func (c checked) clear() []session {
	c.t.Helper()
	return c.gone(c.Clear())
}

func (c checked) gone(all iter.Seq[session]) []session {
	c.t.Helper()
	gone := slices.Collect(all)
	c.check(c.t)
	return gone
}

// holds compares the parts, each in the order in which it would be given up,
// with keys divided by spaces.
func (c checked) holds(unproved, proved, used string) {
	c.t.Helper()
	c.check(c.t)
	same(c.t, "unproved", keys(c.order(Unproved)), unproved)
	same(c.t, "proved", keys(c.order(Proved)), proved)
	same(c.t, "used", keys(c.order(Used)), used)
}

func keys(all []session) string {
	var keys []string
	for _, s := range all {
		keys = append(keys, s.key)
	}
	return strings.Join(keys, " ")
}

// TestFifthInsertionEvictsEarliestExpiry replays what libssl does with a cache
// of size 4 and these timeouts: it is the 50 that goes.
func TestFifthInsertionEvictsEarliestExpiry(t *testing.T) {
	c := newChecked(t, Limits{Count: 4, Bytes: 100})
	for _, timeout := range []int64{100, 500, 50, 300} {
		change := c.put(made(fmt.Sprint(timeout), 1000+timeout), Unproved)
		same(t, "stored", change.Stored, true)
		same(t, "evicted", len(change.Evicted), 0)
	}
	change := c.put(made("400", 1400), Unproved)
	same(t, "evicted", keys(change.Evicted), "50")
	c.holds("100 300 400 500", "", "")
}

// TestCapacityExact: libssl holds one session fewer than its size says. We
// hold as many.
func TestCapacityExact(t *testing.T) {
	for limit := 1; limit <= 5; limit++ {
		c := newChecked(t, Limits{Count: limit, Bytes: 100})
		for i := range 3 * limit {
			c.put(made(fmt.Sprint(i), int64(1000+i)), Unproved)
			same(t, "Len", c.Len(), min(i+1, limit))
		}
	}
}

func TestBytesExact(t *testing.T) {
	c := newChecked(t, Limits{Bytes: 10})
	c.put(sized("a", 1, 4), Unproved)
	c.put(sized("b", 2, 6), Unproved)
	c.holds("a b", "", "")
	same(t, "Bytes", c.Bytes(), 10)
	same(t, "evicted", keys(c.put(sized("c", 3, 5), Unproved).Evicted), "a b")
	same(t, "evicted", keys(c.put(sized("d", 3, 10), Unproved).Evicted), "c")
	same(t, "Bytes", c.Bytes(), 10)
}

func TestTooLargeOrSizelessIsNotStored(t *testing.T) {
	c := newChecked(t, Limits{Bytes: 10})
	c.put(sized("a", 1, 10), Unproved)
	for _, size := range []int{11, math.MaxInt, 0, -1, math.MinInt} {
		for _, key := range []string{"a", "b"} {
			change := c.put(sized(key, 2, size), Used)
			same(t, "stored", change.Stored, false)
			same(t, "replaced", change.DidReplace, false)
			same(t, "evicted", len(change.Evicted), 0)
			c.holds("a", "", "")
		}
	}
}

func TestLongKeyIsNotStored(t *testing.T) {
	c := newChecked(t, Limits{Bytes: 10})
	longest := made(strings.Repeat("k", 255), 1)
	same(t, "stored", c.put(longest, Unproved).Stored, true)
	same(t, "too long", c.put(made(longest.key+"k", 1), Unproved).Stored, false)
	got, _ := c.Get(longest.key)
	same(t, "Get", got, longest)
}

func TestLargestLimitsDoNotOverflow(t *testing.T) {
	c := newChecked(t, Limits{Count: math.MaxInt, Bytes: math.MaxInt64})
	c.put(sized("a", math.MinInt64, math.MaxInt), Unproved)
	c.Cache.Put(sized("b", math.MaxInt64, math.MaxInt), Unproved)
	same(t, "Len", c.Len(), 1)
	count, bytes := c.Limits().provedShare()
	same(t, "proved count", count, math.MaxInt/5*4+1)
	same(t, "proved bytes", bytes, math.MaxInt64/5*4+1)
}

func TestNewcomerIsNeverTheVictim(t *testing.T) {
	c := newChecked(t, Limits{Count: 2, Bytes: 100})
	c.put(made("late", 900), Unproved)
	c.put(made("later", 901), Unproved)
	same(t, "evicted", keys(c.put(made("soon", 1), Unproved).Evicted), "late")
	c.holds("soon later", "", "")
}

func TestTieGoesToTheOldest(t *testing.T) {
	c := newChecked(t, Limits{Count: 3, Bytes: 100})
	for _, key := range []string{"b", "c", "a"} {
		c.put(made(key, 7), Unproved)
	}
	c.Get("b") // being looked up does not save it
	same(t, "evicted", keys(c.put(made("d", 7), Unproved).Evicted), "b")
	same(t, "evicted", keys(c.put(made("e", 7), Unproved).Evicted), "c")
	c.holds("a d e", "", "")
}

func TestUnprovedGoesBeforeUsed(t *testing.T) {
	c := newChecked(t, Limits{Count: 5, Bytes: 100})
	for i, key := range []string{"p1", "p2", "p3", "p4"} {
		c.put(made(key, int64(i)), Used)
	}
	c.put(made("u", 500), Unproved)
	c.holds("u", "", "p1 p2 p3 p4")
	same(t, "evicted", keys(c.put(made("v", 400), Unproved).Evicted), "u")
	c.holds("v", "", "p1 p2 p3 p4")
}

// The proved go after the unproved and before the used, and make no room among the used.
func TestProvedGoesBeforeUsed(t *testing.T) {
	c := newChecked(t, Limits{Count: 5, Bytes: 100})
	for i, key := range []string{"u1", "u2"} {
		c.put(made(key, int64(i)), Used)
	}
	for i, key := range []string{"p1", "p2"} {
		c.put(made(key, int64(900+i)), Proved)
	}
	c.put(made("n", 999), Unproved)
	c.holds("n", "p1 p2", "u1 u2")
	same(t, "evicted", keys(c.put(made("m", 998), Unproved).Evicted), "n")
	c.put(made("u3", 997), Used)
	c.holds("p1", "p2", "u1 u2 u3")
	c.put(made("u4", 998), Used)
	c.holds("p2", "", "u1 u2 u3 u4")
	q := made("q", 1000)
	same(t, "evicted", keys(c.put(q, Proved).Evicted), "p2")
	same(t, "promoted", c.promote(q, Proved), true)
	c.holds("q", "", "u1 u2 u3 u4")
	same(t, "promoted", c.promote(q, Used), true)
	c.holds("u1", "", "u2 u3 u4 q")
}

// A proved session becomes a used one in its place, and sends nobody back.
func TestProvedBecomesUsed(t *testing.T) {
	c := newChecked(t, Limits{Count: 5, Bytes: 100})
	a := made("a", 1)
	c.put(a, Proved)
	for i, key := range []string{"b", "c", "d"} {
		c.put(made(key, int64(2+i)), Used)
	}
	c.holds("", "a", "b c d")
	same(t, "promoted", c.promote(a, Proved), true)
	c.holds("", "a", "b c d")
	same(t, "promoted", c.promote(a, Used), true)
	c.holds("", "", "a b c d")
}

// Sessions that are proved and never used are evicted in the order of their expiry, in
// whatever order they came.
func TestProvedAreEvictedByExpiry(t *testing.T) {
	for _, order := range [][]int64{{100, 500, 50, 300}, {100, 500, 300, 50}, {50, 100, 300, 500}, {500, 300, 100, 50}} {
		c := newChecked(t, Limits{Count: 4, Bytes: 100})
		for _, timeout := range order {
			c.put(made(fmt.Sprint(timeout), timeout), Proved)
		}
		c.holds("50", "100 300 500", "")
		same(t, "evicted", keys(c.put(made("400", 400), Proved).Evicted), "50")
		c.holds("100", "300 400 500", "")
	}
}

func TestUsedGoesWhenNoUnprovedIsLeft(t *testing.T) {
	c := newChecked(t, Limits{Bytes: 10})
	c.put(sized("p2", 2, 4), Used)
	c.put(sized("p1", 1, 4), Used)
	c.put(sized("u", 9, 2), Unproved)
	same(t, "evicted", keys(c.put(sized("big", 5, 6), Unproved).Evicted), "u p1")
	c.holds("big", "", "p2")
}

func TestProvedShare(t *testing.T) {
	for _, test := range []struct {
		count, want int
	}{{1, 0}, {2, 1}, {3, 2}, {4, 3}, {5, 4}, {6, 4}, {9, 7}, {10, 8}, {0, 20}} {
		c := newChecked(t, Limits{Count: test.count, Bytes: 1000})
		for i := range 20 {
			c.put(made(fmt.Sprint(i), int64(i)), Used)
		}
		same(t, fmt.Sprintf("proved of %d", test.count), int(c.store.parts[Used].places.n), test.want)
	}
}

func TestPromotionSendsBackTheNearestToExpiry(t *testing.T) {
	c := newChecked(t, Limits{Count: 5, Bytes: 100})
	for _, s := range []session{made("d", 4), made("b", 2), made("c", 3), made("e", 5)} {
		c.put(s, Used)
	}
	a := made("a", 1)
	c.put(a, Unproved)
	c.holds("a", "", "b c d e")
	same(t, "promoted", c.promote(a, Used), true)
	c.holds("b", "", "a c d e") // a expires first, and yet it is b that went back
	same(t, "promoted", c.promote(a, Used), true)
	c.holds("b", "", "a c d e")
	same(t, "evicted", keys(c.put(made("f", 9), Unproved).Evicted), "b")
}

func TestPromotionByBytes(t *testing.T) {
	c := newChecked(t, Limits{Bytes: 10}) // the proved part holds 8
	c.put(sized("a", 1, 4), Used)
	c.put(sized("b", 2, 4), Used)
	c.holds("", "", "a b")
	c.put(sized("c", 3, 1), Used)
	c.holds("a", "", "b c")

	large := sized("large", 4, 9)
	same(t, "evicted", keys(c.put(large, Used).Evicted), "a b")
	c.holds("large", "", "c")
	same(t, "promoted", c.promote(large, Used), true)
	c.holds("large", "", "c")
}

func TestTooLargeToProveSendsNobodyBack(t *testing.T) {
	c := newChecked(t, Limits{Bytes: 20}) // the proved part holds 16
	c.put(sized("p", 1, 3), Used)
	large := sized("large", 2, 17)
	c.put(large, Unproved)
	same(t, "promoted", c.promote(large, Used), true)
	c.holds("large", "", "p")
}

func TestSameSessionAgain(t *testing.T) {
	c := newChecked(t, Limits{Count: 5, Bytes: 100})
	a := made("a", 1)
	c.put(a, Unproved)
	c.put(made("b", 1), Unproved)
	again := session{key: "a", serial: a.serial, expiry: 99, size: 50}
	change := c.put(again, Unproved)
	same(t, "stored", change.Stored || change.DidReplace, false)
	c.holds("a b", "", "")
	c.put(again, Used)
	c.holds("b", "", "a")
	got, _ := c.Get("a")
	same(t, "value", got, a)
}

func TestAnotherSessionOfTheSameKeyReplaces(t *testing.T) {
	c := newChecked(t, Limits{Count: 5, Bytes: 100})
	a, b := made("a", 1), made("b", 2)
	c.put(a, Unproved)
	c.put(b, Used)
	a2, b2, a3 := sized("a", 9, 30), made("b", 8), made("a", 7)
	change := c.put(a2, Unproved)
	same(t, "replaced", change.Replaced, a)
	same(t, "stored", change.Stored && change.DidReplace, true)
	same(t, "Bytes", c.Bytes(), 31)
	same(t, "replaced", c.put(b2, Unproved).Replaced, b)
	c.holds("a", "", "b") // b2 inherits the part
	same(t, "replaced", c.put(a3, Used).Replaced, a2)
	c.holds("", "", "a b")
}

func TestReplacementFreesItsRoomFirst(t *testing.T) {
	c := newChecked(t, Limits{Count: 2, Bytes: 10})
	c.put(sized("a", 1, 5), Unproved)
	c.put(sized("b", 2, 5), Unproved)
	same(t, "evicted", keys(c.put(sized("b", 2, 5), Unproved).Evicted), "")
	same(t, "evicted", keys(c.put(sized("b", 2, 6), Unproved).Evicted), "a")
	c.holds("b", "", "")
}

func TestRenew(t *testing.T) {
	c := newChecked(t, Limits{Count: 5, Bytes: 10})
	a, b := made("a", 1), made("b", 2)
	c.put(a, Used)
	c.put(b, Unproved)
	renewed := session{key: "a", serial: a.serial, expiry: 50, size: 1}
	same(t, "Renew", c.Renew(renewed), true)
	c.holds("b", "", "a")
	got, _ := c.Get("a")
	same(t, "value", got, renewed)
	sameSlice(t, "Expire", c.expire(time.Unix(49, 0)), []session{b})

	for name, s := range map[string]session{
		"another serial": made("a", 60),
		"absent":         b,
		"outgrown":       {key: "a", serial: a.serial, expiry: 60, size: 11},
		"sizeless":       {key: "a", serial: a.serial, expiry: 60, size: 0},
	} {
		same(t, name, c.Renew(s), false)
		c.holds("", "", "a")
		got, _ := c.Get("a")
		same(t, name, got, renewed)
	}
	same(t, "Renew", c.Renew(session{key: "a", serial: a.serial, expiry: 60, size: 9}), true)
	c.holds("a", "", "") // too large now for the proved part
}

func TestRemoveAndDrop(t *testing.T) {
	c := newChecked(t, Limits{Count: 5, Bytes: 100})
	a, b := made("a", 1), made("b", 2)
	c.put(a, Unproved)
	c.put(b, Used)
	same(t, "Drop of another serial", c.Drop(made("a", 1)), false)
	same(t, "Promote of another serial", c.promote(made("a", 1), Used), false)
	c.holds("a", "", "b")
	same(t, "Drop", c.Drop(a), true)
	c.holds("", "", "b")
	same(t, "Drop again", c.Drop(a), false)
	got, ok := c.Remove("b")
	same(t, "Remove", got, b)
	same(t, "Remove", ok, true)
	c.holds("", "", "")
	_, ok = c.Remove("b")
	same(t, "Remove again", ok, false)
	_, ok = c.Get("b")
	same(t, "Get", ok, false)
}

func TestSetLimits(t *testing.T) {
	fill := func() checked {
		c := newChecked(t, Limits{Count: 10, Bytes: 100})
		for i := range 8 {
			c.put(made(fmt.Sprintf("p%d", i), int64(i)), Used)
		}
		c.put(made("u1", 91), Unproved)
		c.put(made("u0", 90), Unproved)
		c.holds("u0 u1", "", "p0 p1 p2 p3 p4 p5 p6 p7")
		return c
	}
	for _, test := range []struct {
		limits                    Limits
		evicted, unproved, proved string
	}{
		{Limits{Count: 10, Bytes: 100}, "", "u0 u1", "p0 p1 p2 p3 p4 p5 p6 p7"},
		{Limits{Count: 0, Bytes: 10}, "", "u0 u1", "p0 p1 p2 p3 p4 p5 p6 p7"},
		{Limits{Count: 9, Bytes: 100}, "u0", "p0 u1", "p1 p2 p3 p4 p5 p6 p7"},
		{Limits{Count: 5, Bytes: 100}, "u0 u1 p0 p1 p2", "p3", "p4 p5 p6 p7"},
		{Limits{Count: 0, Bytes: 5}, "u0 u1 p0 p1 p2", "p3", "p4 p5 p6 p7"},
		{Limits{Count: 1, Bytes: 100}, "u0 u1 p0 p1 p2 p3 p4 p5 p6", "p7", ""},
	} {
		c := fill()
		same(t, "evicted", keys(c.SetLimits(test.limits)), test.evicted)
		same(t, "Limits", c.Limits(), test.limits)
		c.holds(test.unproved, "", test.proved)
	}
}

func TestInvalidLimitsPanic(t *testing.T) {
	c := newChecked(t, Limits{Bytes: 1})
	for _, limits := range []Limits{{}, {Count: 1}, {Count: 1, Bytes: -1}, {Count: -1, Bytes: 1}} {
		for _, use := range []func(){
			func() { New(limits, decode) },
			func() { c.SetLimits(limits) },
		} {
			func() {
				defer func() { same(t, fmt.Sprint("panic for ", limits), recover() != nil, true) }()
				use()
			}()
		}
	}
	same(t, "Limits", c.Limits(), Limits{Bytes: 1}) // and the lock is free
}

func TestExpiredIsStrictlyAfterTheSecond(t *testing.T) {
	for _, test := range []struct {
		now  time.Time
		want string
	}{
		{time.Unix(1099, 999_999_999), ""},
		{time.Unix(1100, 0), ""},
		{time.Unix(1100, 1), "a"},
		{time.Unix(1100, 500_000_000), "a"},
		{time.Unix(1101, 0), "a"},
	} {
		c := newChecked(t, Limits{Bytes: 100})
		c.put(made("a", 1100), Unproved)
		same(t, test.now.String(), keys(c.expire(test.now)), test.want)
		same(t, test.now.String(), test.now.After(time.Unix(1100, 0)), test.want == "a")
		c.check(t)
	}
}

func TestExpiryAtTheEdgesOfTime(t *testing.T) {
	c := newChecked(t, Limits{Bytes: 100})
	for _, second := range []int64{math.MaxInt64, 0, math.MinInt64, -1, 1} {
		c.put(made(fmt.Sprint(second), second), Unproved)
	}
	same(t, "Expire", keys(c.expire(time.Time{})), fmt.Sprint(math.MinInt64))
	same(t, "Expire", keys(c.expire(time.Unix(-1, 1))), "-1")
	same(t, "Expire", keys(c.expire(time.Now())), "0 1")
	c.holds(fmt.Sprint(math.MaxInt64), "", "")
}

// TestFlushOrder: the earliest expiry first, whichever part it is in, and the
// oldest first within a second. libssl flushes in that order too.
func TestFlushOrder(t *testing.T) {
	fill := func() checked {
		c := newChecked(t, Limits{Count: 10, Bytes: 100})
		first := made("3first", 3)
		c.put(first, Unproved)
		c.put(made("2", 2), Unproved)
		c.put(made("3second", 3), Used)
		c.put(made("4", 4), Unproved)
		c.put(made("1", 1), Used)
		c.promote(first, Used)
		return c
	}
	c := fill()
	same(t, "Clear", keys(c.clear()), "1 2 3first 3second 4")
	c.holds("", "", "")
	same(t, "Clear", keys(c.clear()), "")
	c = fill()
	same(t, "Expire", keys(c.expire(time.Unix(3, 1))), "1 2 3first 3second")
	c.holds("4", "", "")
}

// TestFloodOfUnprovedLeavesUsedAlone: clients that begin handshakes and
// vanish push out one another, and nobody who has come back.
func TestFloodOfUnprovedLeavesUsedAlone(t *testing.T) {
	c := newChecked(t, Limits{Count: 20480, Bytes: 1 << 40})
	for i := range 1000 {
		c.Put(made(fmt.Sprint("proved", i), int64(1000+i%100)), Used)
	}
	c.check(t)
	for i := range 100_000 {
		c.Put(made(fmt.Sprint("flood", i), int64(5000+i/500)), Unproved)
		if i%10_000 == 0 {
			c.check(t)
		}
	}
	c.check(t)
	same(t, "Len", c.Len(), 20480)
	for i := range 1000 {
		if _, ok := c.Get(fmt.Sprint("proved", i)); !ok {
			t.Fatalf("proved session %d is gone", i)
		}
	}
}

func TestPrintsNoSession(t *testing.T) {
	c := newChecked(t, Limits{Bytes: 100})
	c.put(made("secretid", 1), Unproved)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		same(t, verb, fmt.Sprintf(verb, c.Cache), "sessioncache.Cache")
	}
}

// A session vouches once while it is there, also after Renew; another session of
// the same id is another.
func TestVouch(t *testing.T) {
	c := newChecked(t, Limits{Count: 4, Bytes: 1000})
	s := made("a", 10)
	if c.Vouch(s) {
		t.Error("a session that is not there vouched")
	}
	c.put(s, Unproved)
	if !c.Vouch(s) || c.Vouch(s) {
		t.Error("want once")
	}
	later := s
	later.expiry += 5
	if c.Renew(later); c.Vouch(later) {
		t.Error("Renew let it vouch again")
	}
	other := made("a", 10)
	if c.Vouch(other) {
		t.Error("another session of the id vouched for it")
	}
	c.put(other, Unproved)
	if !c.Vouch(other) {
		t.Error("the session that replaced it cannot vouch")
	}
}
