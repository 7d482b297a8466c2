package halfshake

// A Cause says why a session left the cache; a [RemoveFunc] receives it.
type Cause uint8

const (
	// Expired: its timeout had passed.
	Expired Cause = iota + 1
	// Evicted: the cache was full.
	Evicted
	// Replaced: another session of the same id took its place.
	Replaced
	// Used: a single-use session was resumed.
	Used
	// UncleanClose: a connection that used it ended without close_notify.
	UncleanClose
	// Alert: a connection that had proved to hold it ended in a fatal alert.
	Alert
	// Faulty: its state could not be decoded.
	Faulty
	// Revoked: a revocation named it.
	Revoked
	// Explicit: the application called Remove, or Flush with the zero time.
	Explicit
	// Declined: the New callback did not want it.
	Declined
	// Closed: the cache was closed.
	Closed
)

var causeNames = [...]string{
	Expired: "expired", Evicted: "evicted", Replaced: "replaced", Used: "used",
	UncleanClose: "unclean_close", Alert: "alert", Faulty: "faulty", Revoked: "revoked",
	Explicit: "explicit", Declined: "declined", Closed: "closed",
}

// String returns the cause's name in lower case, words joined by underscores.
func (c Cause) String() string {
	if int(c) < len(causeNames) && causeNames[c] != "" {
		return causeNames[c]
	}
	return "unknown"
}
