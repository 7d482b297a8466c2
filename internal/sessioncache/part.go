package sessioncache

// A Part is a share of the cache. It says what has been seen of a session's client, and so
// when the session is given up: the lowest part first.
type Part uint8

const (
	Unproved Part = iota // nothing: the handshake that made the session may have been abandoned
	Proved               // the client completed that handshake
	Used                 // the client came back with the session
)

const parts = 3

// promote moves slot i to a higher part, if there is room, and reports whether there is a
// slot i. If the proved and used sessions take up their whole share, those nearest to
// their expiry go back to the unproved part, the proved before the used. Of proved
// sessions the one that goes back may be slot i itself, so that sessions which were never
// used are given up in the order of their expiry, as in libssl. A used one comes to stay.
func (s *store) promote(i int32, to Part) bool {
	if i == none {
		return false
	}
	at := s.slots.at(i)
	count, bytes := s.limits.provedShare()
	aboveCount, aboveBytes := s.from(to + 1)
	if at.part >= to || aboveCount >= count || at.size > bytes-aboveBytes {
		return true
	}
	if at.part == Unproved && to == Used {
		s.demote(count-1, bytes-at.size)
	}
	s.requeue(i, to)
	s.demote(count, bytes)
	return true
}

// demote sends sessions back to the unproved part until no more than count of them and
// bytes are in the parts above it.
func (s *store) demote(count int, bytes int64) {
	for n, size := s.from(Proved); n > count || size > bytes; n, size = s.from(Proved) {
		s.requeue(s.lowest(Proved), Unproved)
	}
}
