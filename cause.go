package halfshake

// A Cause says why a session left the cache. A [RemoveFunc] receives it.
type Cause uint8

const (
	// CauseExpired: its timeout had passed.
	CauseExpired Cause = iota + 1
	// CauseEvicted: the cache was full, or held four newer sessions of a client for the
	// same server.
	CauseEvicted
	// CauseReplaced: another session with the same id took its place.
	CauseReplaced
	// CauseUsed: a single-use session was resumed, or a client offers it.
	CauseUsed
	// CauseUncleanClose: a connection that used it ended without close_notify.
	CauseUncleanClose
	// CauseAlert: a connection whose client had proved that it holds the session ended
	// in a fatal alert, or a client's handshake failed in which it was offered.
	CauseAlert
	// CauseFaulty: its state could not be decoded.
	CauseFaulty
	// CauseRevoked: it was revoked.
	CauseRevoked
	// CauseExplicit: the application called Remove, or Flush with the zero time or with
	// one in the future.
	CauseExplicit
	// CauseDeclined: the New callback returned false.
	CauseDeclined
	// CauseClosed: the cache was closed.
	CauseClosed
)

var causeNames = [...]string{
	CauseExpired: "expired", CauseEvicted: "evicted", CauseReplaced: "replaced", CauseUsed: "used",
	CauseUncleanClose: "unclean_close", CauseAlert: "alert", CauseFaulty: "faulty", CauseRevoked: "revoked",
	CauseExplicit: "explicit", CauseDeclined: "declined", CauseClosed: "closed",
}

// EndsSession reports whether an external copy of the session must be deleted too. After
// [CauseEvicted], [CauseReplaced] and [CauseClosed] the copy is still valid, and may
// belong to another process.
func (c Cause) EndsSession() bool {
	return c != CauseEvicted && c != CauseReplaced && c != CauseClosed
}

// String returns the cause's name in lower case, with words joined by underscores.
func (c Cause) String() string {
	if int(c) < len(causeNames) && causeNames[c] != "" {
		return causeNames[c]
	}
	return "unknown"
}
