package conformance

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/halfshake/halfshake"
)

// commands carries out each command against a Cache. Parse has checked their words.
var commands map[string]func(*world, []string)

func init() { // because some commands run others
	commands = map[string]func(*world, []string){
		"cache":      func(w *world, words []string) { w.makeCache(words[1], option(words, "scope")) },
		"use":        func(w *world, words []string) { w.current = w.cacheNamed(words[1]) },
		"server":     func(w *world, words []string) { w.current.configure(words) },
		"servername": (*world).servername,
		"scope":      (*world).scope,
		"client":     func(w *world, words []string) { w.client(words[1]).configure(words[2:]) },
		"connect":    (*world).connect,
		"forge":      (*world).forge,
		"on":         func(w *world, words []string) { w.current.set(words) },
		"callbacks":  (*world).callbacks,
		"ids":        func(w *world, words []string) { w.current.ids = words },
		"store":      (*world).changeStore,
		"add":        func(w *world, words []string) { w.returns(w.current.cache.Add(w.argument(words[1:]))) },
		"remove":     func(w *world, words []string) { w.returns(w.current.cache.Remove(w.argument(words[1:]))) },
		"flush":      (*world).flush,
		"mode":       (*world).mode,
		"size":       (*world).size,
		"timeout":    (*world).timeout,
		"counters":   (*world).counters,
		"list":       (*world).list,
		"session":    (*world).session,
		"annotate":   func(w *world, words []string) { w.current.annotation = words[1] },
		"data":       func(w *world, words []string) { w.say("data %s", w.argument(words[1:]).Data()) },
		"free":       func(w *world, _ []string) { w.current.cache.Close() },
		"advance":    func(w *world, words []string) { w.advance(seconds(words[1])) },
		"await":      (*world).await,
	}
}

func seconds(word string) time.Duration {
	n, _ := strconv.Atoi(word)
	return time.Duration(n) * time.Second
}

func (w *world) cacheNamed(name string) *server {
	s := w.caches[name]
	if s == nil {
		w.t.Fatalf("%s: there is no cache %s", w.scenario.Name, name)
	}
	return s
}

func (w *world) returns(ok bool) {
	if ok {
		w.say("returns 1")
	} else {
		w.say("returns 0")
	}
}

// argument returns the session that words name.
func (w *world) argument(words []string) *halfshake.Session {
	switch words[0] {
	case "null":
		return nil
	case "blank":
		return &halfshake.Session{}
	case "copy":
		return w.copyOf(w.heldSession(words[1]))
	}
	return w.heldSession(words[0])
}

func (w *world) servername(words []string) {
	w.current.switchName, w.current.switchTo = words[1], w.cacheNamed(words[2])
	w.current.reopen()
}

// scope sets what OpenSSL calls the session id context of later connections. A Cache's
// own Scope never changes; its TrustID does.
func (w *world) scope(words []string) {
	w.current.config.ServerName = words[1]
	if words[1] == "none" {
		w.current.config.ServerName = ""
	}
	w.current.reopen()
}

func (w *world) callbacks([]string) {
	is := func(set bool) string {
		if set {
			return "set"
		}
		return "unset"
	}
	c := w.current.cache
	w.say("new %s, get %s, remove %s", is(c.NewCallback() != nil), is(c.GetCallback() != nil), is(c.RemoveCallback() != nil))
}

func (w *world) changeStore(words []string) {
	s := w.heldSession(words[2])
	switch words[1] {
	case "put":
		w.put(s)
	case "delete":
		w.mu.Lock()
		delete(w.store, string(s.ID()))
		w.mu.Unlock()
	case "spoil":
		w.spoilStored(s, words)
	}
}

// spoilStored changes the secret in the record of a session, whose client knows it.
func (w *world) spoilStored(s *halfshake.Session, words []string) {
	secret := w.known(words[2]).secret()
	w.mu.Lock()
	defer w.mu.Unlock()
	record := bytes.Clone(w.store[string(s.ID())])
	if bytes.Count(record, secret) != 1 {
		w.t.Fatalf("%s: the record of %s does not have the client's secret", w.scenario.Name, words[2])
	}
	copy(record[bytes.Index(record, secret):], spoiled(secret, option(words, "secret")))
	body := record[:len(record)-4]
	binary.BigEndian.PutUint32(record[len(body):], crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	w.store[string(s.ID())] = record
}

// spoiled returns another secret: a "wrong" one, or "zero" bytes.
func spoiled(secret []byte, how string) []byte {
	other := make([]byte, len(secret))
	if how != "zero" {
		for i := range secret {
			other[i] = secret[i] ^ 0x5a
		}
	}
	return other
}

func (w *world) flush(words []string) {
	switch {
	case len(words) == 1:
		w.current.cache.Flush(w.clock())
	case words[1] == "all":
		w.current.cache.Flush(time.Time{})
	default:
		w.current.cache.Flush(w.clock().Add(seconds(words[1])))
	}
}

var modeBits = []struct {
	name string
	bits halfshake.Mode
}{
	{"both", halfshake.ModeBoth}, {"client", halfshake.ModeClient}, {"server", halfshake.ModeServer},
	{"no-auto-clear", halfshake.ModeNoAutoClear}, {"no-internal", halfshake.ModeNoInternal},
	{"no-internal-lookup", halfshake.ModeNoInternalLookup}, {"no-internal-store", halfshake.ModeNoInternalStore},
	{"update-time", halfshake.ModeUpdateTime},
}

// modeName names a mode as the runner of libssl does, which has no bit for off.
func modeName(m halfshake.Mode) string {
	var parts []string
	for _, b := range modeBits {
		if m&b.bits == b.bits {
			parts = append(parts, b.name)
			m &^= b.bits
		}
	}
	if parts == nil {
		return "off"
	}
	return strings.Join(parts, ",")
}

func (w *world) mode(words []string) {
	if len(words) == 1 {
		w.say("%s", modeName(w.current.cache.Mode()))
		return
	}
	var m halfshake.Mode
	for word := range strings.SplitSeq(words[1], ",") {
		for _, b := range modeBits {
			if b.name == word {
				m |= b.bits
			}
		}
	}
	w.say("was %s", modeName(w.current.cache.SetMode(m)))
}

func (w *world) size(words []string) {
	if len(words) == 1 {
		w.say("%d", w.current.cache.Size())
		return
	}
	n, _ := strconv.Atoi(words[1])
	w.say("was %d", w.current.cache.SetSize(n))
}

func (w *world) timeout(words []string) {
	if len(words) == 1 {
		w.say("%d", int(w.current.cache.Timeout().Seconds()))
		return
	}
	w.say("was %d", int(w.current.cache.SetTimeout(seconds(words[1])).Seconds()))
}

func (w *world) counters([]string) {
	st := w.current.cache.Stats()
	w.say("number=%d accept=%d accept_good=%d hits=%d cb_hits=%d misses=%d timeouts=%d cache_full=%d",
		st.Number, st.Accept, st.AcceptGood, st.Hits, st.CBHits, st.Misses, st.Timeouts, st.CacheFull)
}

func (w *world) list([]string) {
	var numbers []int
	for s := range w.current.cache.Sessions() {
		n, _ := strconv.Atoi(w.nameOf(s.ID())[1:])
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	if numbers == nil {
		w.say("cached nothing")
		return
	}
	w.say("cached s%s", strings.Trim(strings.ReplaceAll(fmt.Sprint(numbers), " ", " s"), "[]"))
}

func (w *world) session(words []string) {
	s, ok := w.current.cache.Session(w.idOf(words[1]))
	if !ok {
		w.say("not cached")
		return
	}
	w.say("created %s, expires %s", w.offset(s.Created()), w.offset(s.Expires()))
}

// await waits for the flush that a Cache does in the background.
func (w *world) await(words []string) {
	want, _ := strconv.Atoi(words[1])
	for deadline := time.Now().Add(5 * time.Second); w.current.number() != want && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
