package sessioncache

import (
	"cmp"
	"slices"
	"time"
)

// model is the cache again, as a slice that is sorted whenever anybody asks
// who is first. It is slow and meant to be obviously right.
type model struct {
	limits Limits
	rows   []row
	clock  int // counts insertions and arrivals
}

type row struct {
	session         session
	part            Part
	inserted, moved int
}

func (m *model) index(s session) int {
	return slices.IndexFunc(m.rows, func(r row) bool { return r.session.key == s.key && r.session.serial == s.serial })
}

func (m *model) indexKey(key string) int {
	return slices.IndexFunc(m.rows, func(r row) bool { return r.session.key == key })
}

// order lists one part's sessions as they would be given up.
func (m *model) order(part Part) []session {
	var rows []row
	for _, r := range m.rows {
		if r.part == part {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.session.expiry, b.session.expiry), cmp.Compare(a.moved, b.moved))
	})
	return sessions(rows)
}

func sessions(rows []row) []session {
	out := []session{}
	for _, r := range rows {
		out = append(out, r.session)
	}
	return out
}

func size(all []session) (n int64) {
	for _, s := range all {
		n += int64(s.size)
	}
	return n
}

func (m *model) tick() int { m.clock++; return m.clock }

func (m *model) delete(s session) {
	i := m.index(s)
	m.rows = slices.Delete(m.rows, i, i+1)
}

func (m *model) fits(all []session) bool {
	return (m.limits.Count == 0 || len(all) <= m.limits.Count) && size(all) <= m.limits.Bytes
}

// protected lists the sessions above the unproved, as they would be sent back.
func (m *model) protected() []session { return append(m.order(Proved), m.order(Used)...) }

func (m *model) fitsProtected(all []session) bool {
	return (m.limits.Count == 0 || len(all) <= m.limits.Count*4/5) && size(all) <= m.limits.Bytes*4/5
}

// evict makes room for the newcomers.
func (m *model) evict(newcomers ...session) (evicted []session) {
	for !m.fits(append(sessions(m.rows), newcomers...)) {
		victim := append(m.order(Unproved), m.protected()...)[0]
		m.delete(victim)
		evicted = append(evicted, victim)
	}
	return evicted
}

// demote makes room beside the protected sessions.
func (m *model) demote(newcomers ...session) {
	for !m.fitsProtected(append(m.protected(), newcomers...)) {
		m.move(m.protected()[0], Unproved)
	}
}

func (m *model) move(s session, to Part) {
	r := &m.rows[m.index(s)]
	r.part, r.moved = to, m.tick()
}

func (m *model) Put(s session, to Part) Change[session] {
	if m.index(s) >= 0 {
		m.Promote(s, to)
		return Change[session]{}
	}
	if int64(s.size) > m.limits.Bytes || s.size <= 0 {
		return Change[session]{}
	}
	change := Change[session]{Stored: true}
	if i := m.indexKey(s.key); i >= 0 {
		to = max(to, m.rows[i].part)
		change.Replaced, change.DidReplace = m.rows[i].session, true
		m.delete(m.rows[i].session)
	}
	change.Evicted = m.evict(s)
	m.rows = append(m.rows, row{session: s, inserted: m.tick(), moved: m.tick()})
	m.Promote(s, to)
	return change
}

func (m *model) Promote(s session, to Part) bool {
	i := m.index(s)
	if i < 0 {
		return false
	}
	held, was := m.rows[i].session, m.rows[i].part // s may be of another size
	switch {
	case to <= was:
	case to == Used && was == Proved:
		m.move(held, Used)
	case to == Used && m.fitsProtected([]session{held}):
		m.demote(held)
		m.move(held, Used)
	case to == Proved && m.fitsProtected(append(m.order(Used), held)):
		m.move(held, Proved)
		m.demote()
	}
	return true
}

func (m *model) Renew(s session) bool {
	i := m.index(s)
	if i < 0 || s.size <= 0 || !m.fits(append(sessions(slices.Delete(slices.Clone(m.rows), i, i+1)), s)) {
		return false
	}
	was := m.rows[i]
	m.rows[i] = row{session: s, inserted: was.inserted, moved: m.tick()}
	m.Promote(s, was.part)
	return true
}

func (m *model) Remove(key string) (session, bool) {
	i := m.indexKey(key)
	if i < 0 {
		return session{}, false
	}
	s := m.rows[i].session
	m.delete(s)
	return s, true
}

func (m *model) Drop(s session) bool {
	if m.index(s) < 0 {
		return false
	}
	m.delete(s)
	return true
}

func (m *model) Expire(now time.Time) []session {
	var gone []row
	for _, r := range m.rows {
		if now.After(time.Unix(r.session.expiry, 0)) {
			gone = append(gone, r)
		}
	}
	for _, r := range gone {
		m.delete(r.session)
	}
	slices.SortFunc(gone, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.session.expiry, b.session.expiry), cmp.Compare(a.inserted, b.inserted))
	})
	return sessions(gone)
}

func (m *model) Clear() []session { return m.Expire(time.Unix(1<<40, 0)) }

func (m *model) SetLimits(limits Limits) []session {
	m.limits = limits
	evicted := m.evict()
	m.demote()
	return evicted
}
