package external

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/halfshake/halfshake"
)

// A record is the content of the revocation log: the lineages that have ended. It names
// lineages one by one, and has floors. A floor ends every lineage that began at the floor
// or earlier.
//
// Its encoding, all integers in network byte order:
//
//	struct {
//	    Floor every;                /* for every scope; zeros for none */
//	    Scope scopes<0..2^24-1>;    /* ascending */
//	    Ended lineages<0..2^24-1>;  /* ascending */
//	} Record;
//
//	struct {
//	    uint64 before;              /* Unix milliseconds */
//	    uint64 until;               /* Unix seconds */
//	} Floor;
//
//	struct {
//	    opaque scope[8];
//	    Floor floor;
//	} Scope;
//
//	struct {
//	    opaque lineage[16];
//	    uint64 until;               /* Unix seconds */
//	} Ended;
type record struct {
	every    floor
	scopes   map[halfshake.ScopeID]floor
	lineages map[halfshake.Lineage]int64 // until when, in Unix seconds
}

// A floor ends every lineage that began at before, in Unix milliseconds, or earlier.
// It can be dropped after until, in Unix seconds. The zero floor ends none.
type floor struct{ before, until int64 }

// The bounds of a record keep it, padded, below MaxLogSize.
const (
	maxLineages = 8192
	maxScopes   = 1024

	floorSize   = 16
	scopeSize   = 8 + floorSize
	lineageSize = 16 + 8

	maxMilli  = 1<<48 - 1 // as in a lineage
	maxSecond = maxMilli / 1000

	// recordSlack is how much longer than necessary a record keeps a removal, because
	// the clocks of machines may disagree.
	recordSlack = time.Hour
)

func newRecord() record {
	return record{scopes: make(map[halfshake.ScopeID]floor), lineages: make(map[halfshake.Lineage]int64)}
}

func (f floor) ends(began int64) bool { return f != floor{} && began <= f.before }

func (f floor) join(other floor) floor {
	return floor{max(f.before, other.before), max(f.until, other.until)}
}

// ends reports whether the session's lineage has ended.
func (r *record) ends(s *halfshake.Session) bool {
	began := s.LineageStart().UnixMilli()
	if r.every.ends(began) || r.scopes[s.ScopeID()].ends(began) {
		return true
	}
	_, ended := r.lineages[s.Lineage()]
	return ended
}

// add adds a removal, and reports whether that changed the record.
func (r *record) add(removed halfshake.Removal, now time.Time) (changed bool) {
	until := untilOf(removed.Until, now)
	if removed.Lineage != (halfshake.Lineage{}) {
		old, ended := r.lineages[removed.Lineage]
		r.lineages[removed.Lineage] = max(old, until)
		return !ended || old < until
	}
	return r.raise(removed.Scope, floor{removed.Before.UnixMilli(), until})
}

// untilOf returns until when to keep a removal, in Unix seconds. No removal is kept
// longer than a session can live.
func untilOf(until, now time.Time) int64 {
	last := now.Add(halfshake.MaxTimeout)
	if until.IsZero() || until.After(last) {
		until = last
	}
	return max(until.Unix(), 0)
}

// raise raises the floor of a scope, and reports whether that changed the record.
func (r *record) raise(scope halfshake.ScopeID, f floor) (changed bool) {
	if f.before < 0 { // before the first lineage
		return false
	}
	f.before = min(f.before, maxMilli)
	old := r.scopes[scope]
	r.scopes[scope] = old.join(f)
	return r.scopes[scope] != old
}

// raiseEvery raises the floor of every scope.
func (r *record) raiseEvery(before int64, now time.Time) {
	r.every = r.every.join(floor{before, untilOf(time.Time{}, now)})
}

// merge adds the removals of other.
func (r *record) merge(other record) {
	r.every = r.every.join(other.every)
	for scope, f := range other.scopes {
		r.scopes[scope] = r.scopes[scope].join(f)
	}
	for lineage, until := range other.lineages {
		r.lineages[lineage] = max(r.lineages[lineage], until)
	}
}

// trim drops expired removals, and enforces the bounds: while there are too many, a floor
// replaces the oldest eighth.
func (r *record) trim(now time.Time) {
	oldest := now.Add(-recordSlack).Unix()
	if r.every.until < oldest {
		r.every = floor{}
	}
	maps.DeleteFunc(r.scopes, func(_ halfshake.ScopeID, f floor) bool { return f.until < oldest })
	maps.DeleteFunc(r.lineages, func(_ halfshake.Lineage, until int64) bool { return until < oldest })
	for len(r.lineages) > maxLineages {
		r.condenseLineages()
	}
	for len(r.scopes) > maxScopes {
		r.condenseScopes()
	}
}

func (r *record) condenseLineages() {
	began := func(l halfshake.Lineage) int64 { return l.Start().UnixMilli() }
	all := make([]int64, 0, len(r.lineages))
	for l := range r.lineages {
		all = append(all, began(l))
	}
	slices.Sort(all)
	last := all[len(all)/8]
	for l, until := range r.lineages {
		if began(l) <= last {
			r.every = r.every.join(floor{last, until})
			delete(r.lineages, l)
		}
	}
}

func (r *record) condenseScopes() {
	all := make([]int64, 0, len(r.scopes))
	for _, f := range r.scopes {
		all = append(all, f.before)
	}
	slices.Sort(all)
	last := all[len(all)/8]
	for scope, f := range r.scopes {
		if f.before <= last {
			r.every = r.every.join(f)
			delete(r.scopes, scope)
		}
	}
}

func (r *record) clone() record {
	return record{every: r.every, scopes: maps.Clone(r.scopes), lineages: maps.Clone(r.lineages)}
}

// encode returns the encoding.
func (r *record) encode() []byte {
	b := make([]byte, 0, floorSize+3+scopeSize*len(r.scopes)+3+lineageSize*len(r.lineages))
	b = r.every.append(b)
	b = appendUint24(b, scopeSize*len(r.scopes))
	for _, scope := range slices.SortedFunc(maps.Keys(r.scopes), func(x, y halfshake.ScopeID) int { return bytes.Compare(x[:], y[:]) }) {
		b = r.scopes[scope].append(append(b, scope[:]...))
	}
	b = appendUint24(b, lineageSize*len(r.lineages))
	for _, l := range slices.SortedFunc(maps.Keys(r.lineages), func(x, y halfshake.Lineage) int { return bytes.Compare(x[:], y[:]) }) {
		b = binary.BigEndian.AppendUint64(append(b, l[:]...), uint64(r.lineages[l]))
	}
	return b
}

func (f floor) append(b []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, uint64(f.before)), uint64(f.until))
}

func appendUint24(b []byte, n int) []byte { return append(b, byte(n>>16), byte(n>>8), byte(n)) }

// readRecord reads the encoding of a record from s. A record that it accepts encodes to
// the same bytes again.
func readRecord(s *cryptobyte.String) (r record, ok bool) {
	r = newRecord()
	var scopes, lineages cryptobyte.String
	ok = r.every.read(s) &&
		s.ReadUint24LengthPrefixed(&scopes) && r.readScopes(scopes) &&
		s.ReadUint24LengthPrefixed(&lineages) && r.readLineages(lineages)
	return r, ok
}

func (f *floor) read(s *cryptobyte.String) bool {
	var before, until uint64
	if !s.ReadUint64(&before) || before > maxMilli || !s.ReadUint64(&until) || until > maxSecond {
		return false
	}
	*f = floor{int64(before), int64(until)}
	return true
}

func (r *record) readScopes(s cryptobyte.String) bool {
	for last := []byte(nil); !s.Empty(); {
		var scope halfshake.ScopeID
		var f floor
		if !s.CopyBytes(scope[:]) || !f.read(&s) || f == (floor{}) || last != nil && bytes.Compare(last, scope[:]) >= 0 {
			return false
		}
		r.scopes[scope], last = f, scope[:]
	}
	return true
}

func (r *record) readLineages(s cryptobyte.String) bool {
	for last := []byte(nil); !s.Empty(); {
		var l halfshake.Lineage
		var until uint64
		if !s.CopyBytes(l[:]) || !s.ReadUint64(&until) || until > maxSecond || last != nil && bytes.Compare(last, l[:]) >= 0 {
			return false
		}
		r.lineages[l], last = int64(until), l[:]
	}
	return true
}
