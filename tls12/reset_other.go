//go:build !unix

package tls12

// isReset reports false: on this platform, writing to a reset connection is
// harmless.
func isReset(error) bool { return false }
