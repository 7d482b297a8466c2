package storetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"runtime"
	"sync/atomic"

	"github.com/halfshake/halfshake/external"
)

// The checks of a revocation log.

func checkLogAbsent(p *logProbe) {
	p.want(nil)
	p.wantConflict(nil, newValue(100))
}

func checkLogFirst(p *logProbe) {
	log := newValue(100)
	p.wantSwap(nil, log)
	p.wantConflict(log, nil)
}

func checkLogSwap(p *logProbe) {
	first, second := newValue(100), newValue(3000)
	p.wantSwap(nil, first)
	p.wantSwap(first, second)
	p.wantSwap(second, second)
	p.wantSwap(second, first)
}

func checkLogConflict(p *logProbe) {
	before, log := newValue(100), newValue(100)
	p.wantSwap(nil, before)
	p.wantSwap(before, log)
	p.wantConflict(log, before)
	p.wantConflict(log, nil)

	for bit := range 8 * len(log) {
		if bit%37 == 0 {
			p.wantConflict(log, flipped(log, bit))
		}
	}
	p.wantConflict(log, flipped(log, 8*len(log)-1))
	p.wantConflict(log, log[:len(log)-1])
	p.wantConflict(log, append(bytes.Clone(log), 0))
	p.wantConflict(log, log[:0])
	p.wantConflict(log, newValue(external.MaxLogSize))
}

func checkLogSizes(p *logProbe) {
	var old []byte
	for _, size := range []int{1, 4096, 65535, 65536, external.MaxLogSize - 1, external.MaxLogSize, 2} {
		next := newValue(size)
		p.wantSwap(old, next)
		old = next
	}
	zeros := make([]byte, external.MaxLogSize)
	p.wantSwap(old, zeros)
	p.wantConflict(zeros, zeros[1:])
	p.wantConflict(zeros, flipped(zeros, 8*len(zeros)-1))
}

func checkLogSlices(p *logProbe) {
	log := newValue(200)
	buffer := bytes.Clone(log)
	p.wantSwap(nil, buffer[:100])
	clear(buffer[:100])
	p.want(log[:100])
	if !bytes.Equal(buffer[100:], log[100:]) {
		fatalf(p, "CompareAndSwap wrote behind the end of the log that it was handed")
	}

	got := p.load()
	clear(got[:cap(got)])
	p.want(log[:100])

	old, next := bytes.Clone(log[:100]), newValue(100)
	handed := bytes.Clone(next)
	p.wantSwap(old, handed)
	if !bytes.Equal(old, log[:100]) || !bytes.Equal(handed, next) {
		fatalf(p, "CompareAndSwap changed a slice that it was handed")
	}
	clear(old)
	p.want(next)
}

func checkLogDoneContext(p *logProbe) {
	log := newValue(100)
	p.wantSwap(nil, log)
	for name, ctx := range doneContexts() {
		_, err := promptly(ctx, p, Load, p.log.Load)
		p.wantQuietError(Load, name, err, log)

		next := newValue(100)
		_, err = promptly(ctx, p, CompareAndSwap, func(ctx context.Context) ([]byte, error) {
			return nil, p.log.CompareAndSwap(ctx, log, next)
		})
		p.wantQuietError(CompareAndSwap, name, err, log, next)
		if got := p.load(); bytes.Equal(got, next) {
			log = next // it failed, but happened
		}
		p.want(log)
	}
}

// wantQuietError requires that err is the error for a context that is done, and contains
// no bytes of the logs.
func (p *logProbe) wantQuietError(op Op, name string, err error, logs ...[]byte) {
	p.Helper()
	wantContextError(p, op, name, err)
	for _, log := range logs {
		if shows(err, log) {
			fatalf(p, "the error of %v has bytes of the log", op)
		}
	}
}

// checkLogOneFirst lets many callers make the first log at once.
func checkLogOneFirst(p *logProbe) {
	var first atomic.Pointer[[]byte]
	p.each(8, func(p *logProbe, _ int) {
		log := newValue(100)
		if p.swap(nil, log) && first.Swap(&log) != nil {
			fatalf(p, "two have made the first log")
		}
	})
	if first.Load() == nil {
		fatalf(p, "of many that made the first log at once, all found a conflict")
	}
	p.want(*first.Load())
}

// checkLogIncrements lets many callers count in the log, and requires that no count is
// lost.
func checkLogIncrements(p *logProbe) {
	const goroutines, increments = 8, 100
	p.wantSwap(nil, make([]byte, 100))
	left := newBudget(goroutines * 2)
	var done atomic.Uint64
	p.each(goroutines, func(p *logProbe, _ int) {
		for n := 0; n < increments && left.spend(); n++ {
			p.increment()
			done.Add(1)
		}
	})
	if got := binary.BigEndian.Uint64(p.load()); got != done.Load() {
		fatalf(p, "the log counts %d, where 1 was added %d times", got, done.Load())
	}
}

func (p *logProbe) increment() {
	for {
		old := p.load()
		if len(old) != 100 {
			fatalf(p, "Load returned %d bytes, where every log has 100", len(old))
		}
		runtime.Gosched() // others should come between
		next := bytes.Clone(old)
		binary.BigEndian.PutUint64(next, binary.BigEndian.Uint64(old)+1)
		if p.swap(old, next) {
			return
		}
	}
}

func flipped(b []byte, bit int) []byte {
	b = bytes.Clone(b)
	b[bit/8] ^= 1 << (bit % 8)
	return b
}
