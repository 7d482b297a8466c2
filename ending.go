package halfshake

// An ending is how a connection ended.
type ending int

const (
	endedCleanly ending = iota
	endedUncleanly
	endedInAlert
)
