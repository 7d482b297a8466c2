package halfshake

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/halfshake/halfshake/internal/sessioncache"
	"github.com/halfshake/halfshake/internal/sessionstate"
)

// A Cache is the session half of an SSL_CTX: an internal cache, the callbacks to an
// external cache, and the decision to resume. It is safe for concurrent use.
//
// Two Caches share sessions only through a common external cache, and only under
// the same scope.
type Cache struct {
	// Set by New and never changed.
	cfg     Config // with defaults filled in
	scopeID ScopeID

	// Each is safe for concurrent use.
	internal    *sessioncache.Cache[sessionEntry]
	removals                // removed sessions, which must not come back
	join        *join       // handshakes under shared configurations
	connections connections // of clients
	offers      offers      // which sessions a client may offer
	authorities sessionstate.Authorities
	counters    counters
	health      [endOfCallbacks]health
	mode        atomic.Uint32 // a normal Mode
	timeout     atomic.Int64  // seconds
	onNew       atomic.Pointer[NewFunc]
	onGet       atomic.Pointer[GetFunc]
	onRemove    atomic.Pointer[RemoveFunc]

	// ctx is cancelled by Close. clearing is the flush of expired sessions.
	ctx      context.Context
	cancel   context.CancelFunc
	closed   atomic.Bool
	clearing job

	unscopedOnce sync.Once // for the warning of warnUnscoped
	noAdmitOnce  sync.Once // for the warning of warnNoAdmit

	// starting guards the jobs, and keeps new work from starting after Close.
	starting sync.Mutex
	work     sync.WaitGroup
}

// New makes a Cache. The zero Config makes a good server cache. The Cache holds no
// goroutine while no handshake runs. Call [Cache.Close] when it is no longer used.
func New(cfg Config) (*Cache, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Cache{cfg: cfg.withDefaults(), scopeID: scopeIDOf(cfg.Scope), removals: newRemovals(), join: newJoin(),
		connections: newConnections(), offers: newOffers()}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.internal = sessioncache.New(c.limits(cfg.Size), decodeEntry)
	c.SetMode(c.cfg.Mode)
	c.SetTimeout(cfg.Timeout)
	c.SetNewCallback(cfg.Callbacks.New)
	c.SetGetCallback(cfg.Callbacks.Get)
	c.SetRemoveCallback(cfg.Callbacks.Remove)
	return c, nil
}

// now returns the time that all of the cache's decisions use.
func (c *Cache) now() time.Time { return c.cfg.Time() }

// saw notes when a lineage began: a machine whose clock is ahead may have made it, and a
// Flush of everything names it too. A time far from the present is no clock's.
func (c *Cache) saw(l Lineage) {
	if began := l.milli(); began < c.now().Add(maxClockSkew).UnixMilli() {
		raise(&c.latest, began)
	}
}

// maxClockSkew is more than the clocks of two machines differ by.
const maxClockSkew = 24 * time.Hour

// limits translates a Size as [Config] documents it.
func (c *Cache) limits(size int) sessioncache.Limits {
	switch {
	case size == 0:
		size = DefaultSize
	case size < 0:
		size = 0
	}
	return sessioncache.Limits{Count: size, Bytes: c.cfg.MaxBytes}
}

// Mode returns the mode. It always contains a side or [ModeOff].
func (c *Cache) Mode() Mode { return Mode(c.mode.Load()) }

// SetMode sets the mode for handshakes from now on and returns the previous mode. As
// in C, a mode without a side, such as 0, disables the cache; its flags are kept.
// Unknown bits are dropped.
func (c *Cache) SetMode(m Mode) (previous Mode) { return Mode(c.mode.Swap(uint32(m.normal()))) }

// stores reports whether new sessions of a side are cached at all.
func (c *Cache) stores(side Mode) bool { return c.Mode().stores(side) && !c.closed.Load() }

// resumesNothing reports whether no session can be made or resumed. Then the server need
// not send tickets.
func (c *Cache) resumesNothing() bool { return !c.Mode().serverStores() && c.GetCallback() == nil }

// Timeout returns how long a new session may be resumed.
func (c *Cache) Timeout() time.Duration { return time.Duration(c.timeout.Load()) * time.Second }

// SetTimeout sets how long sessions made from now on may be resumed, and returns
// the previous timeout. 0 means [DefaultTimeout]. Other values are rounded up to
// whole seconds and clamped to the range from one second to [MaxTimeout].
func (c *Cache) SetTimeout(d time.Duration) (previous time.Duration) {
	if d == 0 {
		d = DefaultTimeout
	}
	d = min(max(d, time.Second), MaxTimeout)
	seconds := int64((d + time.Second - 1) / time.Second)
	return time.Duration(c.timeout.Swap(seconds)) * time.Second
}

// Size returns how many sessions the internal cache may hold. -1 means that only
// Config.MaxBytes limits it.
func (c *Cache) Size() int {
	if n := c.internal.Limits().Count; n > 0 {
		return n
	}
	return -1
}

// SetSize sets how many sessions the internal cache may hold and returns the previous
// number. 0 and negative numbers mean the same as in [Config]. Sessions beyond the new
// limit are evicted at once.
func (c *Cache) SetSize(n int) (previous int) {
	ctx, cancel := c.callbackContext()
	defer cancel()
	previous = c.Size()
	c.evicted(ctx, c.internal.SetLimits(c.limits(n)))
	return previous
}

// Add puts s into the internal cache, whatever the mode, and does not call New. If a
// session with the same id was removed earlier, Add overrides that removal in this Cache;
// an external cache may go on refusing the session, as package external documents. If the
// cache holds another session with the same id, s replaces it and Remove is called.
//
// Add returns false if the cache already holds this very session, after Close, and for a
// session that is nil, has expired, is too large, or belongs to a lineage or Scope that
// has been removed.
func (c *Cache) Add(s *Session) bool {
	now := c.now()
	if s == nil || !validID(s.id) || s.expiredAt(now) || c.lineageRemoved(s) {
		return false
	}
	if c.Mode()&ModeUpdateTime != 0 {
		s = s.renewed(now)
	}
	c.saw(s.lineage)
	c.removed.Lift(s.id)
	ctx, cancel := c.callbackContext()
	defer cancel()
	return c.insert(ctx, s, sessioncache.Proved)
}

// Session returns the session with the given id from the internal cache. The session
// may have expired.
func (c *Cache) Session(id []byte) (*Session, bool) {
	e, ok := c.internal.Get(string(id))
	if !ok || c.lineageRemoved(e.Session) {
		return nil, false
	}
	return e.Session, true
}

// Sessions iterates over the sessions that the internal cache holds when the iteration
// begins, in no particular order. It skips sessions that leave the cache before they are
// reached. Some sessions may have expired.
func (c *Cache) Sessions() iter.Seq[*Session] {
	return func(yield func(*Session) bool) {
		for e := range c.internal.All() {
			if !c.lineageRemoved(e.Session) && !yield(e.Session) {
				return
			}
		}
	}
}

// Close removes every session from the internal cache, waits for background work, and
// cancels the context of callbacks that do not belong to a connection. Open connections
// continue. Later handshakes are full handshakes and store nothing. Close must not be
// called from a callback. The error says how many removals the End callback has not
// recorded. A second call returns nil.
func (c *Cache) Close() error {
	c.starting.Lock()
	already := c.closed.Swap(true)
	c.starting.Unlock()
	if already {
		return nil
	}
	c.cancel()
	c.work.Wait()
	err := c.closeRemovals()
	ctx, cancel := c.callbackContext()
	defer cancel()
	for e := range c.internal.Clear() {
		c.callRemove(ctx, CauseClosed, e.Session)
	}
	c.join.clear()
	c.offers.clear()
	return err
}

// callbackContext returns the context for callbacks that do not belong to a handshake.
// All callbacks of one call of the API share it.
func (c *Cache) callbackContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), c.cfg.CallbackTimeout)
}

// withCallbackContext calls call with such a context.
func (c *Cache) withCallbackContext(call func(context.Context)) {
	ctx, cancel := c.callbackContext()
	defer cancel()
	call(ctx)
}

// insert puts a session into the internal cache and calls Remove for the sessions that
// leave it. It returns false if the cache already holds s or cannot hold it.
func (c *Cache) insert(ctx context.Context, s *Session, part sessioncache.Part) bool {
	if c.closed.Load() {
		return false
	}
	e := sessionEntry{s}
	change := c.internal.Put(e, part)
	c.evicted(ctx, change.Evicted)
	if change.DidReplace {
		c.callRemove(ctx, CauseReplaced, change.Replaced.Session)
	}
	if change.Stored && s.Client() {
		c.addOffer(ctx, s)
	}
	if c.closed.Load() && c.internal.Drop(e) { // Close ran in between and did not see e
		c.callRemove(ctx, CauseClosed, s)
		return false
	}
	return change.Stored
}

// keepCopy copies an external session into the internal cache, unless the cache holds
// its id already: Remove is not called with CauseReplaced for the same session. If the
// session was removed after the look-up, the copy is dropped.
func (c *Cache) keepCopy(h *handshake, s *Session) {
	if c.internal.Has(s.id) {
		return
	}
	h.removing(func(ctx context.Context) { c.insert(ctx, s, sessioncache.Unproved) })
	if c.isRemoved(s, h.asked) {
		c.internal.Drop(sessionEntry{s})
	}
}

func (c *Cache) evicted(ctx context.Context, gone []sessionEntry) {
	c.counters.cacheFull.Add(uint64(len(gone)))
	for _, e := range gone {
		c.callRemove(ctx, CauseEvicted, e.Session)
	}
}

// soon runs work in a goroutine that Close waits for.
func (c *Cache) soon(work func()) {
	c.starting.Lock()
	defer c.starting.Unlock()
	if !c.closed.Load() {
		c.work.Go(work)
	}
}

// A job is work that runs in the background, in one goroutine at a time.
type job struct{ running, again bool }

// inBackground runs work in a goroutine that Close waits for. If the job is already
// running, it runs once more afterwards.
func (c *Cache) inBackground(j *job, work func()) {
	c.starting.Lock()
	defer c.starting.Unlock()
	switch {
	case c.closed.Load():
	case j.running:
		j.again = true
	default:
		j.running = true
		c.work.Go(func() {
			for more := true; more; more = c.another(j) {
				work()
			}
		})
	}
}

// another reports whether the job should run once more. If not, it marks the job as
// ended.
func (c *Cache) another(j *job) bool {
	c.starting.Lock()
	defer c.starting.Unlock()
	j.running = j.again && !c.closed.Load()
	j.again = false
	return j.running
}

// clearSoon flushes expired sessions in the background, so the handshake does not wait.
func (c *Cache) clearSoon() {
	c.inBackground(&c.clearing, func() { c.Flush(c.now()) })
}

// raise sets n to at least least.
func raise(n *atomic.Int64, least int64) {
	for {
		have := n.Load()
		if have >= least || n.CompareAndSwap(have, least) {
			return
		}
	}
}
