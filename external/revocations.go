package external

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/halfshake/halfshake"
)

// revocations keeps the record of ended lineages, in memory and in the store's
// revocation log. What is added counts in this process at once. One goroutine writes
// it to the log: all that was added while it wrote goes into the next write.
//
// The log is loaded when the External is made. Until that has succeeded nothing is
// known of the sessions in the store, and none resumes. A log that does not open is
// replaced by a floor at the present for every scope, so that whatever it named stays
// ended.
type revocations struct {
	store  RevocationLog
	keys   *atomic.Pointer[KeyRing]
	log    logger
	began  int64 // when the External was made, in Unix milliseconds
	loaded atomic.Bool

	wake    chan struct{} // holds one element while there may be something to do
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu      sync.RWMutex
	record  record
	added   uint64        // counts what changed the record
	saved   uint64        // how much of that is in the log
	tried   uint64        // how much of that was in the last attempt to write, or before
	err     error         // of the last attempt
	changed chan struct{} // closed after each attempt
	closing bool

	stored logState // the goroutine's
}

// A logState is the revocation log as the store has it.
type logState struct {
	known bool // else it must be loaded
	value []byte
	// under is the key that value is sealed under, nil if there is no log or it does
	// not open.
	under *fleetKey
}

const (
	// loadLimit is how long New waits for the revocation log.
	loadLimit = time.Second
	// maxConflicts is how many times an attempt starts again because another machine
	// has changed the log.
	maxConflicts = 16
)

func newRevocations(store RevocationLog, keys *atomic.Pointer[KeyRing], log logger) *revocations {
	r := &revocations{
		store: store, keys: keys, log: log, began: time.Now().UnixMilli(),
		wake: make(chan struct{}, 1), record: newRecord(), changed: make(chan struct{}),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	loaded := r.changed
	r.running.Go(r.work)
	timer := time.NewTimer(loadLimit)
	defer timer.Stop()
	select {
	case <-loaded:
	case <-timer.C:
	}
	return r
}

// ends reports whether the session's lineage has ended. While the log is not loaded,
// that may be so for any lineage that began before this External.
func (r *revocations) ends(s *halfshake.Session) bool {
	if !r.loaded.Load() && s.LineageStart().UnixMilli() <= r.began {
		return true
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.record.ends(s)
}

// floor returns the latest floor of a scope, in Unix milliseconds, 0 if it has none.
func (r *revocations) floor(scope halfshake.ScopeID) int64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return max(r.record.every.before, r.record.scopes[scope].before)
}

// recorded reports whether the log says that the session's lineage has ended.
func (r *revocations) recorded(s *halfshake.Session) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.added == r.saved && r.record.ends(s)
}

// pending returns how many changes of the record are not in the log.
func (r *revocations) pending() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return int(r.added - r.saved)
}

// A logStatus is what Stats says of the revocation log.
type logStatus struct {
	pending, lineages, floors int
	answers                   bool
}

func (r *revocations) status() logStatus {
	r.mu.RLock()
	defer r.mu.RUnlock()
	st := logStatus{
		pending: int(r.added - r.saved), lineages: len(r.record.lineages), floors: len(r.record.scopes),
		answers: r.loaded.Load() && r.err == nil,
	}
	if r.record.every != (floor{}) {
		st.floors++
	}
	return st
}

// add adds a removal, which counts at once. It returns what wait takes.
func (r *revocations) add(removed halfshake.Removal) (change uint64) {
	return r.update(func(rec *record, now time.Time) bool { return rec.add(removed, now) })
}

// endAll ends every lineage that began by now.
func (r *revocations) endAll(before time.Time) (change uint64) {
	return r.update(func(rec *record, now time.Time) bool {
		rec.raiseEvery(before.UnixMilli(), now)
		return true
	})
}

func (r *revocations) update(change func(*record, time.Time) bool) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if change(&r.record, now) {
		r.added++
	}
	if len(r.record.lineages) > maxLineages || len(r.record.scopes) > maxScopes {
		r.record.trim(now)
	}
	r.signal()
	return r.added
}

// end adds a removal and waits until the log has it.
func (r *revocations) end(ctx context.Context, removed halfshake.Removal) error {
	if err := r.wait(ctx, r.add(removed)); err != nil {
		return fmt.Errorf("external: %w", err)
	}
	return nil
}

// wait waits until a change is in the log. It returns an error, which wraps
// [ErrNotRecorded], when an attempt to write it has failed or ctx is done.
func (r *revocations) wait(ctx context.Context, change uint64) error {
	for {
		r.mu.RLock()
		saved, tried, err, changed := r.saved, r.tried, r.err, r.changed
		r.mu.RUnlock()
		switch {
		case saved >= change:
			return nil
		case tried >= change && err != nil:
			return fmt.Errorf("%w: %w", ErrNotRecorded, err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrNotRecorded, ctx.Err())
		case <-r.ctx.Done():
			return fmt.Errorf("%w: %w", ErrNotRecorded, errClosed)
		}
	}
}

func (r *revocations) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// work brings the log up to date whenever that is needed, until close.
func (r *revocations) work() {
	pause := firstPause
	for {
		failed := r.attempt()
		closing := r.isClosing()
		switch {
		case r.ctx.Err() != nil || closing && r.pending() == 0:
			return
		case !failed:
			pause = firstPause
			r.sleep(0)
		case closing:
			r.sleep(closePause)
		default:
			r.sleep(pause)
			pause = min(2*pause, longestPause)
		}
	}
}

// sleep waits until there is something to do, or at most for a pause that is not 0.
func (r *revocations) sleep(pause time.Duration) {
	var alarm <-chan time.Time
	if pause > 0 {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case <-r.wake:
	case <-alarm:
	case <-r.ctx.Done():
	}
}

func (r *revocations) isClosing() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.closing
}

// attempt brings the log up to date once, tells those that wait, and reports whether it
// failed.
func (r *revocations) attempt() (failed bool) {
	r.mu.RLock()
	trying, before := r.added, r.err
	r.mu.RUnlock()
	err := r.bringUpToDate()
	if err != nil && before == nil && r.ctx.Err() == nil {
		r.log.log(slog.LevelWarn, "session store does not answer; its revocation log is neither read nor written",
			slog.String("operation", "log"), slog.String("error", err.Error()))
	}
	if err == nil && before != nil {
		r.log.log(slog.LevelWarn, "session store answers again", slog.String("operation", "log"))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tried, r.err = trying, err
	close(r.changed)
	r.changed = make(chan struct{})
	return err != nil
}

var errContended = errors.New("other machines change the revocation log all the time")

// bringUpToDate loads the log, unless it is known, and writes what it lacks.
func (r *revocations) bringUpToDate() error {
	for range maxConflicts {
		if !r.stored.known {
			if err := r.load(); err != nil {
				return err
			}
		}
		if err := r.save(); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return errContended
}

// load reads the log and adds what it says to the record.
func (r *revocations) load() error {
	value, err := r.call(r.store.Load)
	switch {
	case errors.Is(err, ErrNotFound):
		r.stored = logState{known: true}
		r.loaded.Store(true)
		return nil
	case err != nil:
		return err
	case len(value) == 0:
		return errors.New("the revocation log that the store returned is empty")
	}
	rec, under, err := r.keys.Load().openLog(value)
	r.stored = logState{known: true, value: value, under: under}
	if err == nil {
		r.mu.Lock()
		r.record.merge(rec)
		r.mu.Unlock()
		r.loaded.Store(true)
	}
	return nil
}

// save writes the log if the record has changed, the log does not open, or it is not
// sealed under the current key.
func (r *revocations) save() error {
	now := time.Now()
	key := r.keys.Load().current(now)
	lost := r.stored.value != nil && r.stored.under == nil
	r.mu.Lock()
	added := r.added
	stale := r.saved != added
	r.record.trim(now)
	next := r.record.clone()
	r.mu.Unlock()
	if !stale && !lost && (r.stored.under == nil || r.stored.under.same(key)) {
		return nil
	}
	if lost {
		next.raiseEvery(now.UnixMilli(), now)
	}
	value := key.sealLog(&next)
	_, err := r.call(func(ctx context.Context) ([]byte, error) {
		return nil, r.store.CompareAndSwap(ctx, r.stored.value, value)
	})
	if err != nil { // which may have happened all the same
		r.stored = logState{}
		return err
	}
	r.stored = logState{known: true, value: value, under: key}
	r.mu.Lock()
	r.record.every = r.record.every.join(next.every)
	r.saved = added
	r.mu.Unlock()
	r.loaded.Store(true)
	if lost {
		r.log.log(slog.LevelWarn, "the revocation log did not open under these fleet keys and was replaced; sessions made before now do not resume",
			slog.String("operation", "log"))
	}
	return nil
}

func (r *revocations) call(call func(context.Context) ([]byte, error)) ([]byte, error) {
	ctx, cancel := context.WithTimeout(r.ctx, writeLimit)
	defer cancel()
	return guarded(func() ([]byte, error) { return call(ctx) })
}

// close writes what is not in the log yet, for at most closeLimit.
func (r *revocations) close() error {
	r.mu.Lock()
	r.closing = true
	r.mu.Unlock()
	r.signal()
	if !waitUntil(&r.running, closeLimit) {
		r.cancel()
		if !waitUntil(&r.running, closeGraceTime) {
			return errors.New("external: close: the store's driver ignores its context and has not ended its write of the revocation log")
		}
	}
	r.cancel()
	return nil
}
