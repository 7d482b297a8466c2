//go:build !race

package external_test

// How many handshakes are made under each misfortune, and after it.
const (
	handshakesStruck = 1000
	handshakesAfter  = 100
	histories        = 60
)
