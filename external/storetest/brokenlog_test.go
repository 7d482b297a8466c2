package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/halfshake/halfshake/external"
)

// A naiveLog is a sound revocation log of which each part can be replaced by a
// broken one.
type naiveLog struct {
	equal    func(old, log []byte) bool // nil is no log
	in, out  func([]byte) []byte
	done     func(context.Context) error
	absent   error
	conflict error
	between  func() // between the look and the deed
	careless bool   // a conflict changes the log
	hurt     func(old, next []byte)

	mu  sync.Mutex
	log []byte
}

func newNaiveLog() *naiveLog {
	return &naiveLog{
		in:       bytes.Clone,
		out:      bytes.Clone,
		equal:    func(old, log []byte) bool { return (old == nil) == (log == nil) && bytes.Equal(old, log) },
		done:     context.Context.Err,
		absent:   external.ErrNotFound,
		conflict: external.ErrConflict,
		between:  func() {},
		hurt:     func(_, _ []byte) {},
	}
}

func (s *naiveLog) Load(ctx context.Context) ([]byte, error) {
	if err := s.done(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log == nil {
		return nil, s.absent
	}
	return s.out(s.log), nil
}

func (s *naiveLog) CompareAndSwap(ctx context.Context, old, next []byte) error {
	if err := s.done(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	equal := s.equal(old, s.log)
	s.between()
	if equal || s.careless {
		s.log = s.in(next)
	}
	s.hurt(old, next)
	if !equal {
		return s.conflict
	}
	return nil
}

var brokenLogs = []struct {
	name   string
	checks string
	breaks func(*naiveLog)
}{
	{"no compare", "Absent First Conflict OneFirst Increments", func(s *naiveLog) {
		s.equal = func(_, _ []byte) bool { return true }
	}},
	{"nil is any log", "First Conflict OneFirst", func(s *naiveLog) {
		s.equal = func(old, log []byte) bool { return old == nil || bytes.Equal(old, log) }
	}},
	{"no log is any old", "Absent", func(s *naiveLog) {
		s.equal = func(old, log []byte) bool { return log == nil || bytes.Equal(old, log) && old != nil }
	}},
	{"lengths are compared", "Conflict Increments", func(s *naiveLog) {
		s.equal = func(old, log []byte) bool { return len(old) == len(log) }
	}},
	{"beginnings are compared", "Conflict", func(s *naiveLog) {
		s.equal = func(old, log []byte) bool { return (old == nil) == (log == nil) && bytes.HasPrefix(log, old) }
	}},
	{"ends are not compared", "Conflict Sizes", func(s *naiveLog) {
		s.equal = func(old, log []byte) bool {
			return (old == nil) == (log == nil) && len(old) == len(log) && bytes.Equal(old[:len(old)*3/4], log[:len(log)*3/4])
		}
	}},
	{"compared and swapped in two", "Increments", func(s *naiveLog) {
		s.between = func() { unlocked(&s.mu) }
	}},
	{"a conflict that swaps", "Absent First Conflict", func(s *naiveLog) { s.careless = true }},
	{"a conflict of another name", "Absent First Conflict", func(s *naiveLog) {
		s.conflict = errors.New("0 rows")
	}},
	{"a conflict of no name", "Absent First", func(s *naiveLog) { s.conflict = nil }},
	{"its own error where there is no log", "Absent", func(s *naiveLog) { s.absent = errors.New("no rows") }},
	{"no error where there is no log", "Absent", func(s *naiveLog) { s.absent = nil }},
	{"no swap", "Swap", func(s *naiveLog) {
		s.equal = func(old, log []byte) bool { return old == nil && log == nil }
	}},
	{"not all of it", "Sizes", func(s *naiveLog) {
		s.in = func(b []byte) []byte { return bytes.Clone(b[:min(len(b), 1<<16-1)]) }
	}},
	{"keeps the slice", "Slices", func(s *naiveLog) { s.in = same }},
	{"returns its own slice", "Slices", func(s *naiveLog) { s.out = same }},
	{"changes old", "Slices", func(s *naiveLog) { s.hurt = func(old, _ []byte) { clear(old) } }},
	{"changes next", "Slices", func(s *naiveLog) { s.hurt = func(_, next []byte) { clear(next) } }},
	{"appends to next", "Slices", func(s *naiveLog) {
		s.hurt = func(_, next []byte) { _ = append(next, "trailer"...) }
	}},
	{"the context is not heeded", "DoneContext", func(s *naiveLog) {
		s.done = func(context.Context) error { return nil }
	}},
	{"out of time is not found", "DoneContext", func(s *naiveLog) {
		s.done = doneWith(func() error { return external.ErrNotFound })
	}},
	{"out of time is a conflict", "DoneContext", func(s *naiveLog) {
		s.done = doneWith(func() error { return external.ErrConflict })
	}},
	{"the log in an error", "DoneContext", func(s *naiveLog) {
		s.done = doneWith(func() error { return fmt.Errorf("timeout: SET log %q", s.log) })
	}},
}

// unlocked lets others in.
func unlocked(mu *sync.Mutex) {
	mu.Unlock()
	defer mu.Lock()
	runtime.Gosched()
}

func doneWith(answer func() error) func(context.Context) error {
	return func(ctx context.Context) error {
		if ctx.Err() != nil {
			return answer()
		}
		return nil
	}
}

func TestNaiveLogIsSound(t *testing.T) {
	RunLog(t, func(testing.TB) external.RevocationLog { return newNaiveLog() })
}

func TestBrokenLogs(t *testing.T) {
	for _, broken := range brokenLogs {
		for _, check := range named(t, logChecks, broken.checks) {
			t.Run(broken.name+"/"+check.name, func(t *testing.T) {
				t.Parallel()
				s := newNaiveLog()
				broken.breaks(s)
				wantFailure(t, func(t tester) { check.run(&logProbe{t, s}) })
			})
		}
	}
}
