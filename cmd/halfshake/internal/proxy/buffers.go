package proxy

import "sync"

// bufferSize is what one TLS record holds. A TCP connection keeps two buffers.
const bufferSize = 16 << 10

// buffers is a [httputil.BufferPool].
type buffers struct{ pool sync.Pool }

// Get returns a buffer whose content is arbitrary.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return make([]byte, bufferSize)
}

// Put takes it back.
func (b *buffers) Put(buffer []byte) { b.pool.Put((*[bufferSize]byte)(buffer)) }
