package halfshake

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"

	"github.com/halfshake/halfshake/internal/ending"
	"github.com/halfshake/halfshake/internal/sessioncache"
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
// An engine that cannot see the client's Finished reports counted instead of completed.
// It reports proved later, when something implies the Finished.
type handshake struct {
	cache  *Cache
	side   Mode   // ModeServer or ModeClient
	policy policy // of the configuration in force
	ctx    context.Context
	info   ConnInfo

	// exact is set if the engine says when the handshake is complete. New sessions then
	// wait for that.
	exact bool

	// The handshake's goroutine owns these.

	offered  []uint16       // the ClientHello's suites; nil if the engine does not show them
	proposed bool           // the one look-up has been made
	verified bool           // VerifyConnection has agreed, under our hooks
	at       time.Time      // when it did
	resuming bool           // whether it agreed to a resumption
	asked    tombstone.Mark // when the look-up was made
	spent    time.Duration  // how long the callbacks have taken
	parent   *Session       // the session that the look-up returned
	taken    bool           // nobody else can resume parent
	waiting  *Session       // the new session, until the handshake is complete

	// Any goroutine may read these.

	done    atomic.Bool             // completed was reported
	over    atomic.Bool             // the connection's end removed a session
	resumed atomic.Pointer[Session] // parent, once the handshake is complete
	issued  atomic.Pointer[Session] // the new session, once it is stored
}

func (c *Cache) newHandshake(p policy) *handshake {
	return &handshake{cache: c, side: ModeServer, policy: p, ctx: c.ctx}
}

// begin records what is known once a ClientHello has been read. It does not ask for the
// addresses earlier, because a connection may have to read them from its client.
func (h *handshake) begin(ctx context.Context, conn net.Conn, offered []uint16) {
	h.ctx, h.offered = ctx, offered
	if conn != nil { // QUIC may have none
		h.info.RemoteAddr, h.info.LocalAddr = conn.RemoteAddr(), conn.LocalAddr()
	}
}

// negotiated records what has been negotiated so far.
func (h *handshake) negotiated(serverName, alpn string, version uint16) {
	h.info.ServerName, h.info.ALPN, h.info.Version = serverName, alpn, version
}

// propose returns the session that the client may resume, with its state decoded, or
// nil. A connection makes one look-up: a TLS 1.3 client may list many identities, and
// only the first that can be an id is looked up. suite is the chosen cipher suite, or 0 if
// none has been chosen yet (TLS 1.2).
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

// undecodable refuses the session that propose returned, because the engine cannot
// decode it; the ladder does not parse whole certificates. The internal copy of an
// external session is dropped without calling Remove: the original may be good on
// another machine, with another release of Go.
func (h *handshake) undecodable(f *found) {
	h.parent = nil
	h.cache.refused(h, f, RefusedMalformed)
	if !f.internal {
		h.cache.internal.Drop(sessionEntry{f.Session})
	}
}

// newID returns an id for the session that the engine is about to make, or nil if the
// session would not be cached. It is for engines that send the id before they make the
// session.
func (h *handshake) newID() []byte {
	if !h.stores() {
		return nil
	}
	if h.policy.unscoped() {
		h.notCached(RefusedUnscoped)
		return nil
	}
	return h.cache.newID(h)
}

// made receives the session that the engine made, in crypto/tls's encoding. id is the
// result of newID, or nil for a new id. made returns nil if the session must not be
// cached, and counts the reason.
func (h *handshake) made(state, id []byte, resumed bool) *Session {
	if !resumed {
		h.parent = nil // the engine has refused what propose returned
	}
	if !h.stores() {
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
		h.establish(s, sessioncache.Unproved)
	}
	return s
}

// completed records a handshake whose client's Finished is verified.
func (h *handshake) completed(resumed bool) {
	h.counted(resumed)
	h.proved(resumed)
	if s := h.waiting; s != nil {
		h.waiting = nil
		h.establish(s, h.part(resumed))
	}
	h.logHandshake(resumed)
}

// counted counts a handshake that VerifyConnection has agreed to. At every 255th it
// flushes expired sessions (SSL_CTX_set_session_cache_mode(3)).
func (h *handshake) counted(resumed bool) {
	n := &h.cache.counters
	if resumed {
		h.hit()
	}
	h.flushAtTimes(n.acceptGood.Add(1))
}

// hit counts a resumption.
func (h *handshake) hit() {
	n := &h.cache.counters
	n.hits.Add(1)
	if h.parent != nil {
		n.resumedAges.add(h.now().Sub(h.parent.Created()))
	}
}

// flushAtTimes flushes expired sessions at every 255th completed handshake of a side.
func (h *handshake) flushAtTimes(completed uint64) {
	if completed%255 == 0 && h.cache.Mode().autoClears(h.side) {
		h.cache.clearSoon()
	}
}

// now returns when the handshake took place: under crypto/tls, when VerifyConnection
// agreed, because later events come under locks that Config.Time must not run under.
func (h *handshake) now() time.Time {
	if h.verified {
		return h.at
	}
	return h.cache.now()
}

// proved records that a verified Finished has shown that the client holds the
// connection's sessions, and protects them in the cache. It calls no application code.
func (h *handshake) proved(resumed bool) {
	h.done.Store(true)
	issued := h.issued.Load()
	for _, s := range [...]*Session{issued, h.waiting} {
		if s != nil {
			s.proved.Store(true)
		}
	}
	if issued != nil {
		h.cache.internal.Promote(sessionEntry{issued}, h.part(resumed))
	}
	if resumed && h.parent != nil {
		h.resumed.Store(h.parent)
		h.cache.confirm(h.parent, h.now())
	}
}

// part returns the part of the internal cache for a session that this handshake made,
// once it is proved.
func (h *handshake) part(resumed bool) sessioncache.Part {
	if resumed && h.vouched() {
		return sessioncache.Used
	}
	return sessioncache.Proved
}

// vouched reports whether a session made by this resumption counts as used. Each session
// vouches for one child, so a client that resumes one session over and over takes no more
// of the internal cache than others.
func (h *handshake) vouched() bool {
	return h.taken || h.parent != nil && h.cache.internal.Vouch(sessionEntry{h.parent})
}

// parentInUse records that the client that made the parent session had completed its
// handshake. It proves nothing about this connection, because a recorded ClientHello can
// be replayed.
func (h *handshake) parentInUse() {
	if h.parent != nil {
		h.cache.internal.Promote(sessionEntry{h.parent}, sessioncache.Used)
	}
}

// disagreed is called when the application's VerifyConnection ended the handshake with an
// alert. It removes the new session. libssl also removes the session being resumed. Here
// that session stays: the client's Finished has not been seen, so anyone could have the
// session removed by replaying a recorded ClientHello.
func (h *handshake) disagreed() {
	if s := h.issued.Swap(nil); s != nil {
		h.removing(func(ctx context.Context) { h.cache.remove(ctx, s, CauseAlert) })
	}
}

// current returns the session that the client will use next: the one that the
// connection made, or else the one that it resumed.
func (h *handshake) current() *Session {
	if s := h.issued.Load(); s != nil {
		return s
	}
	return h.resumed.Load()
}

// ended removes the connection's session, once, if the connection ended in a way that
// forbids resuming it. As in libssl, a fatal alert, sent or received, is one such end. An
// end without close_notify is another, if Config.UncleanClose says so. A client whose
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
// decline it. It is the only place that stores a session made by a handshake.
func (h *handshake) establish(s *Session, part sessioncache.Part) {
	c := h.cache
	mode := c.Mode()
	if !h.stores() || h.parentRemoved() {
		return
	}
	h.issued.Store(s)
	stored := mode.internalKeeps(h.side) && !h.keptOutside(s)
	if stored {
		h.removing(func(ctx context.Context) { c.insert(ctx, s, part) })
	}
	if h.parentRemoved() { // while s was stored; New has not been called for s
		h.issued.Store(nil)
		c.internal.Drop(sessionEntry{s})
		return
	}
	if !c.callNew(h, s) {
		h.issued.Store(nil)
		h.removing(func(ctx context.Context) { c.decline(ctx, s, stored) })
	}
}

// removing runs code that may call Remove. If Remove is set, the context has the
// callbacks' deadline.
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
	ctx := withDeadline(h.ctx, h.cache.cfg.CallbackTimeout-h.spent)
	defer ctx.end()
	start := time.Now()
	call(ctx)
	h.spent += time.Since(start)
}

// parentRemoved reports whether the session that was resumed has been removed since
// it was looked up.
func (h *handshake) parentRemoved() bool {
	return h.parent != nil && h.cache.isRemoved(h.parent, h.asked)
}

// orphaned removes the new session if its parent has been removed meanwhile. It is for
// sessions stored before the handshake was complete.
func (h *handshake) orphaned(removing func(func(context.Context))) {
	if s := h.issued.Load(); s != nil && h.parentRemoved() {
		h.issued.Store(nil)
		removing(func(ctx context.Context) { h.cache.remove(ctx, s, CauseRevoked) })
	}
}

// lineagePromised reports whether the parent of a session can be told at every door,
// unless a flood has made the cache forget this handshake. A session whose lineage was
// removed must not go on under another.
func (h *handshake) lineagePromised(state *sessionstate.State) bool {
	_, named := nameKey(h.info.ServerName)
	return named || len(state.Certificates) > 0
}

// keptOutside reports whether only the external cache may hold the session. A session
// that resumes once must be taken from a single place.
func (h *handshake) keptOutside(s *Session) bool {
	outside := h.cache.GetCallback() != nil
	if h.side == ModeClient {
		outside = h.cache.cfg.Callbacks.Find != nil
	}
	return outside && s.SingleUse()
}

// stores reports whether new sessions of this side are cached.
func (h *handshake) stores() bool { return h.cache.stores(h.side) }

// A found session is one that a look-up returned, with its state decoded once.
type found struct {
	*Session
	state    *sessionstate.State
	internal bool // the internal cache had it
}

func versionName(v uint16) string { return tls.VersionName(v) }
