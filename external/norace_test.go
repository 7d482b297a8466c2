//go:build !race

package external_test

// How many handshakes are made under each misfortune, and after it.
const (
	handshakesStruck = 300
	handshakesAfter  = 50
	histories        = 60
	cacheHistories   = 40
)
