package proxy

import "sync"

// bufferSize is the most data that one TLS record holds. A TCP connection uses two
// buffers.
const bufferSize = 16 << 10

// buffers is an [httputil.BufferPool].
type buffers struct{ pool sync.Pool }

// Get returns a buffer whose content is arbitrary.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return make([]byte, bufferSize)
}

// Put returns a buffer to the pool.
func (b *buffers) Put(buffer []byte) { b.pool.Put((*[bufferSize]byte)(buffer)) }
