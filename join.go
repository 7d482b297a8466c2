package halfshake

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"strings"
	"sync"
	"unsafe"
)

// maxJoined bounds the handshakes of shared configurations that are remembered; twice
// as many may be.
const maxJoined = 2048

// A join tells which handshake a hook of a shared configuration is called for: that
// of a configuration from [Cache.ServerConfig], which serves many connections at once.
// crypto/tls does not say, but what it shows is the same in every hook of one
// handshake:
//
//   - the string of the server name, which each ClientHello makes anew. It is known
//     from GetConfigForClient on; after a HelloRetryRequest, from UnwrapSession on.
//   - the slice of the client's certificates, of a session that is being resumed.
//   - in TLS 1.2, the master secret, of which the key is a MAC under a key of this
//     process.
//
// A handshake that is remembered keeps its string and its slice, so that no other can
// have their addresses: a look-up may miss, and is never wrong. A handshake that fails
// is never finished here. It goes with its generation: when the younger one is full,
// the older one is dropped. Until then it keeps no secret.
type join struct {
	key [sha256.Size]byte // of the MAC

	mu             sync.Mutex
	younger, older map[joinKey]*joined
}

// A joined is a handshake, and how many of its key have begun and not finished.
type joined struct {
	*sharedHandshake
	n int
}

type joinKey struct {
	address unsafe.Pointer
	mac     [sha256.Size]byte
}

func newJoin() *join {
	j := &join{younger: make(map[joinKey]*joined)}
	rand.Read(j.key[:])
	return j
}

// nameKey is the key of a server name. Names of one byte share their string, and
// those that no session has would only take up memory.
func nameKey(name string) (k joinKey, ok bool) {
	if len(name) < 2 || len(name) > maxName {
		return k, false
	}
	return joinKey{address: unsafe.Pointer(unsafe.StringData(name))}, true
}

func certificatesKey(certs []*x509.Certificate) (k joinKey, ok bool) {
	if len(certs) == 0 {
		return k, false
	}
	return joinKey{address: unsafe.Pointer(&certs[0])}, true
}

func (j *join) secretKey(secret []byte) (k joinKey) {
	mac := hmac.New(sha256.New, j.key[:])
	mac.Write(secret)
	mac.Sum(k.mac[:0])
	return k
}

func (j *join) get(k joinKey) *sharedHandshake {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, generation := range [...]map[joinKey]*joined{j.younger, j.older} {
		if e, ok := generation[k]; ok {
			return e.sharedHandshake
		}
	}
	return nil
}

// put remembers h, which must keep what k points to. Handshakes that resume the same
// session share a key of its secret: for what is asked of it, either will do.
func (j *join) put(k joinKey, h *sharedHandshake) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, generation := range [...]map[joinKey]*joined{j.younger, j.older} {
		if e, ok := generation[k]; ok {
			e.sharedHandshake = h
			e.n++
			return
		}
	}
	if len(j.younger) >= maxJoined {
		j.younger, j.older = make(map[joinKey]*joined), j.younger
	}
	j.younger[k] = &joined{h, 1}
}

// drop forgets one handshake of that key.
func (j *join) drop(k joinKey) { j.take(k) }

// take is get and drop.
func (j *join) take(k joinKey) *sharedHandshake {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, generation := range [...]map[joinKey]*joined{j.younger, j.older} {
		if e, ok := generation[k]; ok {
			if e.n--; e.n == 0 {
				delete(generation, k)
			}
			return e.sharedHandshake
		}
	}
	return nil
}

func (j *join) len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.younger) + len(j.older)
}

// clear forgets all handshakes.
func (j *join) clear() {
	j.mu.Lock()
	defer j.mu.Unlock()
	clear(j.younger)
	j.older = nil
}

// withoutSecret returns what a handshake has to know of the session that it resumes.
// The id is a copy: the session's own is in one piece of memory with the secret.
func (s *Session) withoutSecret() *Session {
	return &Session{serial: s.serial, id: strings.Clone(s.id), lineage: s.lineage, created: s.created, expires: s.expires}
}
