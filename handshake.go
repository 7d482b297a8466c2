package halfshake

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"

	"github.com/halfshake/halfshake/internal/ending"
	"github.com/halfshake/halfshake/internal/sessionstate"
	"github.com/halfshake/halfshake/internal/tombstone"
)

// A handshake is what the cache knows of one handshake and of the connection after
// it. Every engine reports the same five events to it:
//
//	propose    the client proposed an id: which session may it resume?
//	newID      the engine needs an id for a session that it is about to make
//	made       a session was made
//	completed  the handshake is complete, full or resumed
//	ended      the connection is over
//
// Where an engine cannot see the client's Finished, it reports counted in place of
// completed, and the effects wait for proved.
type handshake struct {
	cache  *Cache
	policy policy // of the configuration in force
	ctx    context.Context
	info   ConnInfo

	// exact is set where the engine says when the handshake is complete: a session
	// that was made waits for that.
	exact bool

	// What follows belongs to the handshake's goroutine.

	offered  []uint16       // the ClientHello's suites; nil where the engine does not show them
	proposed bool           // the one look-up has been made
	verified bool           // VerifyConnection has agreed, under hooks of ours
	resuming bool           // to resume, at that time
	asked    tombstone.Mark // when it was made
	spent    time.Duration  // by the callbacks, of their time
	parent   *Session       // what the look-up let pass
	taken    bool           // nobody else can resume parent
	waiting  *Session       // what was made and waits for the handshake's completion

	// What follows is read by any goroutine.

	done    atomic.Bool             // completed was reported
	over    atomic.Bool             // the connection's end removed a session
	resumed atomic.Pointer[Session] // parent, once the handshake is complete
	issued  atomic.Pointer[Session] // what was made, once it is stored
}

func (c *Cache) newHandshake(p policy) *handshake {
	return &handshake{cache: c, policy: p, ctx: c.ctx}
}

// begin keeps what is known once a ClientHello has been read. The addresses are not
// asked for before: a connection may have to read them from its client.
func (h *handshake) begin(ctx context.Context, conn net.Conn, offered []uint16) {
	h.ctx, h.offered = ctx, offered
	if conn != nil { // QUIC may have none
		h.info.RemoteAddr, h.info.LocalAddr = conn.RemoteAddr(), conn.LocalAddr()
	}
}

// negotiated keeps what has been agreed by now.
func (h *handshake) negotiated(serverName, alpn string, version uint16) {
	h.info.ServerName, h.info.ALPN, h.info.Version = serverName, alpn, version
}

// propose returns the session that the client may resume, with its state decoded, or
// nil. A connection has one look-up: a TLS 1.3 client may list many identities, and
// the first that can be an id is looked up. suite is the one that was chosen, 0 while
// none is (TLS 1.2).
func (h *handshake) propose(id []byte, suite uint16) *found {
	if !validID(id) {
		h.explain(id, "the id is not one of ours")
		return nil
	}
	if h.proposed {
		return nil
	}
	h.proposed = true
	h.asked = h.cache.removed.Mark()
	f := h.cache.lookup(proposal{handshake: h, id: id, suite: suite})
	if f != nil {
		h.parent, h.taken = f.Session, f.state.EarlyData
	}
	return f
}

// undecodable takes back what propose returned: the engine cannot decode it. The
// ladder has no need to look at the whole of a certificate. The copy of an external
// session goes, and no callback is told: the original may be good elsewhere, on
// another release of Go.
func (h *handshake) undecodable(f *found) {
	h.parent = nil
	h.cache.refused(h, f, RefusedMalformed)
	if !f.internal {
		h.cache.internal.Drop(sessionEntry{f.Session})
	}
}

// newID returns the id of the session that the engine is about to make, for one that
// has to name it before there is any; nil if none would be cached.
func (h *handshake) newID() []byte {
	if !h.cache.storesSessions() {
		return nil
	}
	if h.policy.unscoped() {
		h.notCached(RefusedUnscoped)
		return nil
	}
	return h.cache.newID(h)
}

// made takes the session that the engine made, as crypto/tls encodes it, under the id
// that newID returned, or under a new one. It returns nil if the session is not to be
// cached; the reason is counted.
func (h *handshake) made(state, id []byte, resumed bool) *Session {
	if !resumed {
		h.parent = nil // the engine has refused what propose returned
	}
	if !h.cache.storesSessions() {
		return nil
	}
	s, r := h.cache.build(h, state, id, resumed)
	if r != 0 {
		h.notCached(r)
		return nil
	}
	if h.exact {
		h.waiting = s
	} else {
		h.establish(s, false)
	}
	return s
}

// completed records a handshake whose client's Finished is verified.
func (h *handshake) completed(resumed bool) {
	h.counted(resumed)
	h.proved(resumed)
	if s := h.waiting; s != nil {
		h.waiting = nil
		h.establish(s, resumed && h.vouched())
	}
	h.logHandshake(resumed)
}

// counted counts a handshake that the application agreed to, and clears the cache at
// every 255th (SSL_CTX_set_session_cache_mode(3)).
func (h *handshake) counted(resumed bool) {
	n := &h.cache.counters
	if resumed {
		n.hits.Add(1)
		if h.parent != nil {
			n.resumedAges.add(h.cache.now().Sub(h.parent.Created()))
		}
	}
	if n.acceptGood.Add(1)%255 == 0 && h.cache.Mode().autoClears() {
		h.cache.clearSoon()
	}
}

// proved gives a session that the client has shown to hold, by a verified Finished,
// what that entitles it to. It calls nothing of the application's.
func (h *handshake) proved(resumed bool) {
	h.done.Store(true)
	issued := h.issued.Load()
	for _, s := range [...]*Session{issued, h.waiting} {
		if s != nil {
			s.proved.Store(true)
		}
	}
	if !resumed || h.parent == nil {
		return
	}
	h.resumed.Store(h.parent)
	h.cache.confirm(h.parent)
	if issued != nil && h.vouched() {
		h.cache.internal.Promote(sessionEntry{issued})
	}
}

// vouched reports whether a session born from this resumption goes into the protected
// part of the internal cache. Each session vouches for one child, so that a client
// which resumes one session over and over holds no more of that part than others.
func (h *handshake) vouched() bool {
	return h.taken || h.parent != nil && h.cache.internal.Vouch(sessionEntry{h.parent})
}

// parentInUse records that the session which is being resumed was made by a client that
// completed its handshake. It says nothing about this connection: a ClientHello that
// was recorded can be played again.
func (h *handshake) parentInUse() {
	if h.parent != nil {
		h.cache.internal.Promote(sessionEntry{h.parent})
	}
}

// disagreed is called when the application's VerifyConnection ended the handshake in
// an alert. libssl then removes the session that was to be resumed. Here it stays:
// the client's Finished has not been seen, and whoever recorded a ClientHello could
// have it removed by playing it again. The new one goes.
func (h *handshake) disagreed() {
	if s := h.issued.Swap(nil); s != nil {
		h.removing(func(ctx context.Context) { h.cache.remove(ctx, s, CauseAlert) })
	}
}

// current returns the session that the client will use next: the one that the
// connection made or else resumed.
func (h *handshake) current() *Session {
	if s := h.issued.Load(); s != nil {
		return s
	}
	return h.resumed.Load()
}

// ended removes the connection's session, once, where the way in which it ended says
// that nobody may resume it: after a fatal alert, sent or received, as in libssl, and
// after an end without close_notify as Config.UncleanClose says. A client whose
// handshake is not complete has proved nothing, and removes nothing.
func (h *handshake) ended(how ending.How) {
	var cause Cause
	switch {
	case !h.done.Load():
		return
	case how == ending.Alert:
		cause = CauseAlert
	case how == ending.Unclean && h.cache.cfg.UncleanClose == UncleanCloseRemove:
		cause = CauseUncleanClose
	default:
		return
	}
	if s := h.current(); s != nil && !h.over.Swap(true) {
		ctx, cancel := h.cache.callbackContext()
		defer cancel()
		h.cache.remove(ctx, s, cause)
	}
}

// establish puts a new session into the cache and tells the application, which may
// decline it. It is the one place where a session that a handshake made is stored.
func (h *handshake) establish(s *Session, protected bool) {
	c := h.cache
	mode := c.Mode()
	if !c.storesSessions() || h.parentRemoved() {
		return
	}
	h.issued.Store(s)
	stored := mode.internalKeeps() && !h.keptOutside(s)
	if stored {
		h.removing(func(ctx context.Context) { c.insert(ctx, s, protected) })
	}
	if h.parentRemoved() { // meanwhile: nobody has been told of s
		h.issued.Store(nil)
		c.internal.Drop(sessionEntry{s})
		return
	}
	if !c.callNew(h, s) {
		h.issued.Store(nil)
		h.removing(func(ctx context.Context) { c.decline(ctx, s, stored) })
	}
}

// removing runs what may call Remove, with a context for it if there is one.
func (h *handshake) removing(call func(context.Context)) {
	if h.cache.RemoveCallback() == nil {
		call(h.ctx)
	} else {
		h.callbacks(call)
	}
}

// callbacks runs application code with a context that ends when the time for all
// callbacks of the handshake is used up.
func (h *handshake) callbacks(call func(context.Context)) {
	ctx, cancel := context.WithTimeout(h.ctx, h.cache.cfg.CallbackTimeout-h.spent)
	defer cancel()
	start := time.Now()
	call(ctx)
	h.spent += time.Since(start)
}

// parentRemoved reports whether the session that was resumed has been removed since
// it was looked up.
func (h *handshake) parentRemoved() bool {
	return h.parent != nil && h.cache.isRemoved(h.parent, h.asked)
}

// orphaned removes what was made of a session that has been removed since, where the
// new one was stored before the handshake was complete.
func (h *handshake) orphaned() {
	if s := h.issued.Load(); s != nil && h.parentRemoved() {
		h.issued.Store(nil)
		ctx, cancel := h.cache.callbackContext()
		defer cancel()
		h.cache.remove(ctx, s, CauseRevoked)
	}
}

// keptOutside reports whether the session is the external cache's alone: one that
// allows early data is resumed once, and one place must decide that.
func (h *handshake) keptOutside(s *Session) bool {
	return h.cache.GetCallback() != nil && s.EarlyData()
}

// A found session is one that a look-up returned, with its state decoded once.
type found struct {
	*Session
	state    *sessionstate.State
	internal bool // the internal cache had it
}

func versionName(v uint16) string { return tls.VersionName(v) }
