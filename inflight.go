package halfshake

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
)

// maxInFlight bounds the sessions that are between the two hooks of a TLS 1.2
// resumption at one time. Nothing waits for the network there.
const maxInFlight = 2048

// inFlight joins the hooks of crypto/tls in TLS 1.2, where a resumption issues a
// ticket again: UnwrapSession handed the session out, and WrapSession, which is
// shown nothing of that but the same master secret, must answer with the same
// id. Its keys are a MAC of the secret under a key of this process, so that the
// table adds no copy of a secret to memory.
//
// A session that crypto/tls after all did not resume is never taken. It goes with
// its generation: when the younger one is full, the older one is dropped.
type inFlight struct {
	key [sha256.Size]byte

	mu             sync.Mutex
	younger, older map[[sha256.Size]byte]*flight
}

// A flight is a session's id and how many handshakes are resuming it.
type flight struct {
	id string
	n  int
}

func newInFlight() *inFlight {
	f := &inFlight{younger: make(map[[sha256.Size]byte]*flight)}
	rand.Read(f.key[:])
	return f
}

func (f *inFlight) sum(secret []byte) (s [sha256.Size]byte) {
	mac := hmac.New(sha256.New, f.key[:])
	mac.Write(secret)
	mac.Sum(s[:0])
	return s
}

// put records that a handshake is about to resume the session of that id.
func (f *inFlight) put(secret []byte, id string) {
	sum := f.sum(secret)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, generation := range [...]map[[sha256.Size]byte]*flight{f.younger, f.older} {
		if at, ok := generation[sum]; ok {
			at.id = id
			at.n++
			return
		}
	}
	if len(f.younger) >= maxInFlight {
		f.younger, f.older = make(map[[sha256.Size]byte]*flight), f.younger
	}
	f.younger[sum] = &flight{id: id, n: 1}
}

// take returns the id of the session of that secret, and ends one handshake's
// flight; "" if there is none.
func (f *inFlight) take(secret []byte) (id string) {
	sum := f.sum(secret)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, generation := range [...]map[[sha256.Size]byte]*flight{f.younger, f.older} {
		at, ok := generation[sum]
		if !ok {
			continue
		}
		if at.n--; at.n == 0 {
			delete(generation, sum)
		}
		return at.id
	}
	return ""
}

// clear forgets all flights.
func (f *inFlight) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.younger)
	f.older = nil
}
