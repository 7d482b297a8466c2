package storetest

import (
	"bytes"
	"errors"
	"sync/atomic"
	"time"

	"github.com/halfshake/halfshake/external"
)

// A probe is a store in the hands of a check. Its methods end the check if the store
// breaks its contract.
type probe struct {
	tester
	store external.Store
}

func (p *probe) put(key external.Key, value []byte) {
	p.Helper()
	p.putUntil(key, value, time.Now().Add(time.Hour))
}

func (p *probe) putUntil(key external.Key, value []byte, expires time.Time) {
	p.Helper()
	p.putAs(key, value, expires, external.ClassUnproved)
}

func (p *probe) putAs(key external.Key, value []byte, expires time.Time, class external.Class) {
	p.Helper()
	ctx, cancel := opContext()
	defer cancel()
	if err := p.store.Put(ctx, key, value, expires, class); err != nil {
		fatalf(p, "Put(%v) of %d bytes until %v: %v", key, len(value), expires, err)
	}
}

// get returns nil if nothing is found.
func (p *probe) get(key external.Key) []byte {
	p.Helper()
	ctx, cancel := opContext()
	defer cancel()
	value, err := p.store.Get(ctx, key)
	return p.answer(Get, key, value, err)
}

// take returns nil if nothing is found.
func (p *probe) take(key external.Key) []byte {
	p.Helper()
	ctx, cancel := opContext()
	defer cancel()
	value, err := p.store.Take(ctx, key)
	return p.answer(Take, key, value, err)
}

func (p *probe) answer(op Op, key external.Key, value []byte, err error) []byte {
	p.Helper()
	switch {
	case errors.Is(err, external.ErrNotFound):
		return nil
	case err != nil:
		fatalf(p, "%v(%v): %v", op, key, err)
	case len(value) == 0:
		fatalf(p, "%v(%v) returned no error, and no value", op, key)
	}
	return value
}

func (p *probe) delete(key external.Key) {
	p.Helper()
	ctx, cancel := opContext()
	defer cancel()
	if err := p.store.Delete(ctx, key); err != nil {
		fatalf(p, "Delete(%v): %v", key, err)
	}
}

// want requires that Get returns value.
func (p *probe) want(key external.Key, value []byte) {
	p.Helper()
	p.same(Get, key, p.get(key), value)
}

// wantTaken requires that Take returns value.
func (p *probe) wantTaken(key external.Key, value []byte) {
	p.Helper()
	p.same(Take, key, p.take(key), value)
}

// same requires that op found what was put under key.
func (p *probe) same(op Op, key external.Key, got, want []byte) {
	p.Helper()
	if got == nil {
		fatalf(p, "%v(%v) found nothing, where %d bytes were put", op, key, len(want))
	}
	if !bytes.Equal(got, want) {
		fatalf(p, "%v(%v) returned %d bytes that are not the %d bytes put there", op, key, len(got), len(want))
	}
}

// wantAbsent requires that neither Get nor Take finds anything.
func (p *probe) wantAbsent(key external.Key) {
	p.Helper()
	if got := p.get(key); got != nil {
		fatalf(p, "Get(%v) found %d bytes, where nothing should be", key, len(got))
	}
	if got := p.take(key); got != nil {
		fatalf(p, "Take(%v) found %d bytes, where nothing should be", key, len(got))
	}
}

// each runs f with 0 to n-1, each in a goroutine of its own.
func (p *probe) each(n int, f func(p *probe, i int)) {
	each(p.tester, n, func(t tester, i int) { f(&probe{t, p.store}, i) })
}

// spread runs f with 0 to n-1, about in this order, in a few goroutines: a store
// that writes many entries at a time should not have to write them one by one.
func (p *probe) spread(n int, f func(p *probe, i int)) {
	const goroutines = 16
	var next atomic.Int64
	p.each(goroutines, func(p *probe, _ int) {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			f(p, i)
		}
	})
}
