//go:build unix

package boltstore

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/halfshake/halfshake/external"
)

// cpu returns the CPU time that this process has used, including in the kernel.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPut puts sessions in the steady state: 5000 a second, each expiring after
// 20 s, so that as many expire as are put, and the store holds 100,000. The clock
// advances as fast as the store works.
func BenchmarkPut(b *testing.B) {
	for _, size := range []int{400, 1200, 3500} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			const live, perSecond = 100_000, 5000
			r := newRig(b, Config{MaxBytes: 1 << 30})
			var ns atomic.Int64
			ns.Store(time.Now().UnixNano())
			v := value(size)
			n := 0
			put := func() {
				ns.Add(int64(time.Second / perSecond))
				n++
				if err := r.Put(b.Context(), key(n), v, time.Unix(0, ns.Load()).Add(live/perSecond*time.Second), external.ClassUnproved); err != nil {
					b.Fatal(err)
				}
			}
			r.clock = func() time.Time { return time.Unix(0, ns.Load()) }
			r.reopen(Config{MaxBytes: 1 << 30})
			for range live + live/2 {
				put()
			}
			r.flush(b)
			b.ReportAllocs()
			b.ResetTimer()
			before := cpu(b)
			for range b.N {
				put()
			}
			r.flush(b)
			b.StopTimer()
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(r.fileSize())/(1<<20), "file-MiB")
		})
	}
}

// BenchmarkGet gets sessions that are in the file, and keys that are not.
func BenchmarkGet(b *testing.B) {
	const live = 100_000
	r := newRig(b, Config{MaxBytes: 1 << 30})
	v := value(1200)
	for n := range live {
		r.put(key(n), v)
	}
	r.flush(b)
	for name, first := range map[string]int{"hit": 0, "miss": live} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			before := cpu(b)
			for n := 0; b.Loop(); n++ {
				got, err := r.Get(b.Context(), key(first+n*7919%live))
				if (err == nil) != (name == "hit") {
					b.Fatal(len(got), err)
				}
			}
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkTake takes sessions that are in the file, many concurrently, as the handshakes
// of a busy server do.
func BenchmarkTake(b *testing.B) {
	r := newRig(b, Config{MaxBytes: 1 << 30})
	v := value(1200)
	var n atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(64)
	for n := range b.N {
		r.put(key(n), v)
	}
	r.flush(b)
	b.ResetTimer()
	before := cpu(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Take(b.Context(), key(int(n.Add(1)-1))); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
}

// byCallers calls do b.N times, from one goroutine and from 32.
func byCallers(b *testing.B, prepare func(b *testing.B, r *rig), do func(r *rig, n int) error) {
	for _, callers := range []int{1, 32} {
		name := "alone"
		if callers > 1 {
			name = fmt.Sprintf("%d callers", callers)
		}
		b.Run(name, func(b *testing.B) {
			r := newRig(b, Config{})
			prepare(b, r)
			var n atomic.Int64
			var running sync.WaitGroup
			b.ResetTimer()
			for range callers {
				running.Go(func() {
					for i := int(n.Add(1)) - 1; i < b.N; i = int(n.Add(1)) - 1 {
						if err := do(r, i); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			running.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
		})
	}
}

// BenchmarkDelete deletes sessions that are in the file. Each call returns when the session
// is gone from the disk.
func BenchmarkDelete(b *testing.B) {
	prepare := func(b *testing.B, r *rig) {
		v := value(1200)
		for n := range b.N {
			r.put(key(n), v)
		}
		r.flush(b)
	}
	byCallers(b, prepare, func(r *rig, n int) error { return r.Delete(r.Context(), key(n)) })
}

// BenchmarkCompareAndSwap replaces a log of 4 KiB. Callers that lose a swap load the log
// again and retry until they win.
func BenchmarkCompareAndSwap(b *testing.B) {
	prepare := func(b *testing.B, r *rig) { must(b, r.CompareAndSwap(b.Context(), nil, value(4096))) }
	byCallers(b, prepare, func(r *rig, n int) error {
		for next := value(4096); ; {
			log, err := r.Load(r.Context())
			if err != nil {
				return err
			}
			if err = r.CompareAndSwap(r.Context(), log, next); !errors.Is(err, external.ErrConflict) {
				return err
			}
		}
	})
}
