package storetest

import (
	"bytes"
	"errors"

	"github.com/halfshake/halfshake/external"
)

// A logProbe is a revocation log in the hands of a check, like a probe.
type logProbe struct {
	tester
	log external.RevocationLog
}

// load returns nil if there is no log.
func (p *logProbe) load() []byte {
	p.Helper()
	ctx, cancel := opContext()
	defer cancel()
	log, err := p.log.Load(ctx)
	switch {
	case errors.Is(err, external.ErrNotFound):
		return nil
	case err != nil:
		fatalf(p, "Load: %v", err)
	case len(log) == 0:
		fatalf(p, "Load returned no error, and no log")
	}
	return log
}

// swap reports whether next has replaced old. If not, there was a conflict.
func (p *logProbe) swap(old, next []byte) bool {
	p.Helper()
	ctx, cancel := opContext()
	defer cancel()
	err := p.log.CompareAndSwap(ctx, old, next)
	if err != nil && !errors.Is(err, external.ErrConflict) {
		fatalf(p, "CompareAndSwap of %d by %d bytes: %v", len(old), len(next), err)
	}
	return err == nil
}

// want requires that Load returns log, or finds none if log is nil.
func (p *logProbe) want(log []byte) {
	p.Helper()
	got := p.load()
	switch {
	case got == nil && log != nil:
		fatalf(p, "Load found no log, where there is one of %d bytes", len(log))
	case got != nil && log == nil:
		fatalf(p, "Load found a log of %d bytes, where none was made", len(got))
	case !bytes.Equal(got, log):
		fatalf(p, "Load returned %d bytes that are not the log of %d bytes", len(got), len(log))
	}
}

// wantSwap requires that next replaces old.
func (p *logProbe) wantSwap(old, next []byte) {
	p.Helper()
	if !p.swap(old, next) {
		fatalf(p, "CompareAndSwap found a conflict where old, of %d bytes, is the log", len(old))
	}
	p.want(next)
}

// wantConflict requires that CompareAndSwap does not take old for log, which stays.
func (p *logProbe) wantConflict(log, old []byte) {
	p.Helper()
	if p.swap(old, newValue(50)) {
		fatalf(p, "CompareAndSwap took %d bytes for the log, which is another of %d bytes", len(old), len(log))
	}
	p.want(log)
}

func (p *logProbe) each(n int, f func(p *logProbe, i int)) {
	each(p.tester, n, func(t tester, i int) { f(&logProbe{t, p.log}, i) })
}
