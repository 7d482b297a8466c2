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

// maxJoined bounds one generation of remembered handshakes. There are two generations.
const maxJoined = 2048

// A join finds the handshake that a hook of a shared configuration is called for. A
// configuration from [Cache.ServerConfig] serves many connections at once, and
// crypto/tls does not say which one a hook is for. But it passes the same values to
// every hook of one handshake:
//
//   - the server name, a string that is allocated for each ClientHello. It is known from
//     GetConfigForClient on; after a HelloRetryRequest, from UnwrapSession on.
//   - the slice of the client's certificates, if a session with certificates resumes.
//   - in TLS 1.2, the master secret. The key is its MAC under a key of this process.
//
// A remembered handshake keeps its string and its slice alive, so no other handshake can
// have their addresses. A look-up may therefore miss, but it is never wrong. A handshake
// that fails is never finished here. It is dropped with its generation: when the younger
// generation is full, the older one is dropped. Until then it keeps no secret.
type join struct {
	key [sha256.Size]byte // of the MAC

	mu             sync.Mutex
	younger, older map[joinKey]*joined
}

// A joined is a handshake, and the number of unfinished handshakes with its key.
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

// nameKey returns the key of a server name. It accepts no name of one byte, because Go
// shares those strings, and no name longer than a session can have.
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

// put remembers h, which must keep alive what k points to. Handshakes that resume the
// same session share a key made from its secret. Either handshake will do for them.
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

// drop forgets one handshake with the key.
func (j *join) drop(k joinKey) { j.take(k) }

// take returns the handshake of a key and forgets it.
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

// withoutSecret returns the parts of a session that a handshake needs while it resumes
// it. The id is a copy, because the session's own id shares memory with the secret.
func (s *Session) withoutSecret() *Session {
	parent := &Session{serial: s.serial, id: strings.Clone(s.id), lineage: s.lineage, created: s.created, expires: s.expires, limit: s.limit}
	parent.setData(s.field(fieldData))
	return parent
}
