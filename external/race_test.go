//go:build race

package external_test

// Fewer, since each takes many times as long.
const (
	handshakesStruck = 50
	handshakesAfter  = 10
	histories        = 20
	cacheHistories   = 10
)
