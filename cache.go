package halfshake

import (
	"context"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/halfshake/halfshake/internal/sessioncache"
	"github.com/halfshake/halfshake/internal/sessionstate"
)

// A Cache is the session half of an SSL_CTX: an internal cache, the callbacks of
// an external one, and the decision to resume. It is safe for concurrent use.
//
// Two Caches share sessions only through a common external cache, and only under
// the same scope.
type Cache struct {
	// Set by New and constant since.
	scope        string
	scopeID      ScopeID
	trustID      trustIDFunc
	authorize    func(ConnInfo, *Session) bool
	maxChainAge  time.Duration
	uncleanClose UncleanClosePolicy
	sessionIDs   SessionIDs
	maxPending   int
	callbacks    Callbacks // NewID and Admit; the others can be set, see below
	log          *slog.Logger
	time         func() time.Time
	maxBytes     int64

	// Safe for concurrent use by themselves.
	internal *sessioncache.Cache[sessionEntry]
	inFlight *inFlight
	counters counters

	authorities sessionstate.Authorities

	// removals counts what was removed by name, so that a copy of an external
	// session does not come back after it; vouchers counts the TLS 1.3
	// resumptions under ServerConfig that may yet make a proved session.
	removals atomic.Uint64
	vouchers atomic.Int64
	mode     atomic.Uint32 // a normal Mode
	timeout  atomic.Int64  // seconds
	onNew    atomic.Pointer[NewFunc]
	onGet    atomic.Pointer[GetFunc]
	onRemove atomic.Pointer[RemoveFunc]

	// ctx ends with Close. clearing is set while an automatic flush runs.
	ctx      context.Context
	cancel   context.CancelFunc
	closed   atomic.Bool
	clearing atomic.Bool

	// background guards the start of a flush against Close.
	background sync.Mutex
	flushes    sync.WaitGroup
}

// New makes a Cache. The zero Config is a good server cache. The Cache holds no
// goroutine while no handshake runs; [Cache.Close] ends its life.
func New(cfg Config) (*Cache, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Cache{
		scope: cfg.Scope, scopeID: scopeIDOf(cfg.Scope), trustID: cfg.TrustID, authorize: cfg.Authorize,
		maxChainAge: cfg.MaxLineageAge, uncleanClose: cfg.UncleanClose,
		callbacks: cfg.Callbacks, log: cfg.Logger, time: cfg.Time, maxBytes: cfg.MaxBytes,
		sessionIDs: cfg.SessionIDs, maxPending: cfg.MaxPending,
		inFlight: newInFlight(),
	}
	if c.maxPending == 0 {
		c.maxPending = DefaultMaxPending
	}
	if c.time == nil {
		c.time = time.Now
	}
	if c.maxBytes == 0 {
		c.maxBytes = DefaultMaxBytes
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.internal = sessioncache.New(c.limits(cfg.Size), decodeEntry)
	c.SetMode(cfg.Mode)
	c.SetTimeout(cfg.Timeout)
	c.SetNewCallback(cfg.Callbacks.New)
	c.SetGetCallback(cfg.Callbacks.Get)
	c.SetRemoveCallback(cfg.Callbacks.Remove)
	return c, nil
}

// limits translates a Size as [Config] documents it.
func (c *Cache) limits(size int) sessioncache.Limits {
	switch {
	case size == 0:
		size = DefaultSize
	case size < 0:
		size = 0
	}
	return sessioncache.Limits{Count: size, Bytes: c.maxBytes}
}

// Mode returns the mode; a side, or ModeOff, is always named in it.
func (c *Cache) Mode() Mode { return Mode(c.mode.Load()) }

// SetMode sets the mode for handshakes from now on and returns the previous one.
// Unknown bits are dropped.
func (c *Cache) SetMode(m Mode) (previous Mode) { return Mode(c.mode.Swap(uint32(m.normal()))) }

// Timeout returns how long a new session may be resumed.
func (c *Cache) Timeout() time.Duration { return time.Duration(c.timeout.Load()) * time.Second }

// SetTimeout sets how long sessions made from now on may be resumed, and returns
// the previous timeout. 0 is [DefaultTimeout]; other values are rounded up to
// whole seconds, and brought into the range from one second to [MaxTimeout].
func (c *Cache) SetTimeout(d time.Duration) (previous time.Duration) {
	if d == 0 {
		d = DefaultTimeout
	}
	d = min(max(d, time.Second), MaxTimeout)
	seconds := int64((d + time.Second - 1) / time.Second)
	return time.Duration(c.timeout.Swap(seconds)) * time.Second
}

// Size returns how many sessions the internal cache may hold, -1 for as many as
// fit into its bytes.
func (c *Cache) Size() int {
	if n := c.internal.Limits().Count; n > 0 {
		return n
	}
	return -1
}

// SetSize sets how many sessions the internal cache may hold, 0 and negative
// numbers being as in [Config], and returns the previous number. What is too
// many is evicted at once.
func (c *Cache) SetSize(n int) (previous int) {
	previous = c.Size()
	c.evicted(c.internal.SetLimits(c.limits(n)))
	return previous
}

// Add puts s into the internal cache, whatever the mode, and does not call New.
// It returns false if this very session is there already, and for a session that
// is nil, has expired or is too large, and after Close. Another session of the
// same id is replaced; Remove is told of it.
func (c *Cache) Add(s *Session) bool {
	if s == nil || !validID(s.id) {
		return false
	}
	now := c.time()
	if s.expiredAt(now) {
		return false
	}
	if c.Mode()&ModeUpdateTime != 0 {
		s = s.renewed(now)
	}
	return c.insert(s, false)
}

// Remove removes the session of the same id from the internal cache. It returns
// false if there is none, and calls the Remove callback all the same, so that an
// external copy goes too. A nil session is not there.
func (c *Cache) Remove(s *Session) bool {
	if s == nil || !validID(s.id) {
		return false
	}
	return c.remove(s, CauseExplicit)
}

// Flush removes the sessions that have expired at now, those nearest to their
// expiry first, and returns how many there were. The zero time removes all.
func (c *Cache) Flush(now time.Time) (n int) {
	if now.IsZero() {
		for e := range c.internal.Clear() {
			c.callRemove(c.causeOfFlush(e.Session), e.Session)
			n++
		}
		return n
	}
	for e := range c.internal.Expire(now) {
		c.callRemove(CauseExpired, e.Session)
		n++
	}
	return n
}

func (c *Cache) causeOfFlush(s *Session) Cause {
	if s.expiredAt(c.time()) {
		return CauseExpired
	}
	return CauseExplicit
}

// Sessions returns the sessions that the internal cache holds when the iteration
// begins, in no order and without those that leave it before their turn; expired
// ones may be among them.
func (c *Cache) Sessions() iter.Seq[*Session] {
	return func(yield func(*Session) bool) {
		for e := range c.internal.All() {
			if !yield(e.Session) {
				return
			}
		}
	}
}

// Close removes every session, waits for a flush that is under way, and cancels
// the context of callbacks that have no connection's. Connections that are open
// go on; handshakes after it are full ones and store nothing. It must not be
// called from a callback. It returns nil, also when called again.
func (c *Cache) Close() error {
	c.background.Lock()
	c.closed.Store(true)
	c.background.Unlock()
	c.cancel()
	for e := range c.internal.Clear() {
		c.callRemove(CauseClosed, e.Session)
	}
	c.flushes.Wait()
	c.inFlight.clear()
	return nil
}

// insert puts a session into the internal cache and tells of those that had to
// go. It returns false if s is there already or cannot be held.
func (c *Cache) insert(s *Session, proved bool) bool {
	if c.closed.Load() {
		return false
	}
	e := sessionEntry{s}
	change := c.internal.Put(e, proved)
	c.evicted(change.Evicted)
	if change.DidReplace {
		c.callRemove(CauseReplaced, change.Replaced.Session)
	}
	if c.closed.Load() && c.internal.Drop(e) { // Close ran since, and found nothing
		c.callRemove(CauseClosed, s)
		return false
	}
	return change.Stored
}

// keepCopy copies an external session into the internal cache, unless one of that
// id is there: then nobody is told of a session that was replaced by itself. A
// removal that came since the count of removals was read wins over the copy: it
// counted before it looked, and here the count is looked at after the insertion.
func (c *Cache) keepCopy(s *Session, removals uint64) {
	if c.internal.Has(s.id) {
		return
	}
	c.insert(s, false)
	if c.removals.Load() != removals {
		c.internal.Drop(sessionEntry{s})
	}
}

func (c *Cache) evicted(gone []sessionEntry) {
	c.counters.cacheFull.Add(uint64(len(gone)))
	for _, e := range gone {
		c.callRemove(CauseEvicted, e.Session)
	}
}

// remove takes the session of s's id out of the internal cache and calls the
// Remove callback, with s itself where the cache held none.
func (c *Cache) remove(s *Session, cause Cause) bool {
	c.removals.Add(1) // before the look: see keepCopy
	held, ok := c.internal.Remove(s.id)
	if ok {
		s = held.Session
	}
	c.callRemove(cause, s)
	return ok
}

// clearSoon flushes what has expired, off the handshake's own path. At most one
// such flush runs at a time.
func (c *Cache) clearSoon() {
	c.background.Lock()
	defer c.background.Unlock()
	if c.closed.Load() || !c.clearing.CompareAndSwap(false, true) {
		return
	}
	c.flushes.Go(func() {
		defer c.clearing.Store(false)
		c.Flush(c.time())
	})
}
