// Package deepstack spares handshakes the growth of their goroutine's stack.
package deepstack

// room is more than any resumed handshake takes in crypto/tls or package tls12, so
// that a stack of 2 or 4 KiB becomes one of 8.
const room = 5 << 10

// Grow makes room for a handshake on the stack of the goroutine that calls it. A
// goroutine's stack begins small, and is copied to one of twice the size whenever a
// call finds it too short, with every frame on it looked up and adjusted. That happens
// twice deep within a handshake, and is a twentieth of what a resumed connection
// costs; here, where there is little on the stack, it happens once and costs next to
// nothing. Where there is room already, so does the call.
//
//go:noinline
func Grow() byte {
	var unused [room]byte
	return first(&unused)
}

// first keeps the compiler from seeing that unused is just that.
//
//go:noinline
func first(unused *[room]byte) byte { return unused[0] }
