// Package deepstack spares handshakes the growth of their goroutine's stack.
//
// A goroutine's stack begins with 2 or 4 KiB, and is copied to one of twice the size
// whenever a call finds it too short, with every frame on it looked up and adjusted. That
// happens twice or three times deep within a handshake, and is a twentieth of what a
// resumed connection costs. The functions here have it happen once, where there is
// less on the stack. What they cost is to clear the room.
package deepstack

// What a handshake takes, so that the stack becomes one of 8 KiB, or of 16 with the
// post-quantum key exchange of TLS 1.3.
const (
	room12 = 4 << 10
	room13 = 10 << 10
)

// ForTLS12 makes room for a handshake on the stack of the goroutine that calls it.
//
//go:noinline
func ForTLS12() byte {
	var unused [room12]byte
	return first(unused[:])
}

// ForTLS13 makes room for one that may be of TLS 1.3.
//
//go:noinline
func ForTLS13() byte {
	var unused [room13]byte
	return first(unused[:])
}

// first keeps the compiler from seeing that unused is just that.
//
//go:noinline
func first(unused []byte) byte { return unused[0] }
