package boltstore

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake/external"
)

// damages are ways to damage a file while a store has it open.
var damages = map[string]func(t *testing.T, f *os.File, size int64){
	"truncated": func(t *testing.T, f *os.File, size int64) { must(t, f.Truncate(0)) },
	"cut":       func(t *testing.T, f *os.File, size int64) { must(t, f.Truncate(2*pageSize)) },
	"garbage": func(t *testing.T, f *os.File, size int64) {
		_, err := f.WriteAt(value(int(size)-2*pageSize), 2*pageSize)
		must(t, err)
	},
	"metas": func(t *testing.T, f *os.File, size int64) {
		_, err := f.WriteAt(value(2*pageSize), 0)
		must(t, err)
	},
	"zeros": func(t *testing.T, f *os.File, size int64) {
		_, err := f.WriteAt(make([]byte, size), 0)
		must(t, err)
	},
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestDamageWhileOpen checks that a damaged file is replaced, whichever operation finds the
// damage, and that the process and the revocation log survive.
func TestDamageWhileOpen(t *testing.T) {
	for name, damage := range damages {
		for _, by := range []string{"reads", "writes", "both"} {
			t.Run(name+", found by "+by, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, Config{})
				for n := range 500 {
					r.put(key(n), numbered(n))
				}
				r.flush(t)
				must(t, r.CompareAndSwap(t.Context(), nil, []byte("log")))
				f, err := os.OpenFile(r.path, os.O_RDWR, 0)
				must(t, err)
				defer f.Close()
				damage(t, f, r.fileSize())
				r.useDamaged(by)
				r.wantReplaced()
			})
		}
	}
}

// useDamaged performs operations that may fail, but must not return a wrong value.
func (r *rig) useDamaged(by string) {
	r.Helper()
	for n := range 100 {
		if by != "writes" {
			got, err := r.Get(r.Context(), key(n))
			if err == nil && !bytes.Equal(got, numbered(n)) {
				r.Fatalf("entry %d has another value", n)
			}
		}
		if by != "reads" && n%10 == 0 {
			err := r.Delete(r.Context(), key(n))
			if err != nil && !strings.Contains(err.Error(), "damaged") {
				r.Fatal(err)
			}
		}
	}
}

// wantReplaced waits until the store works again.
func (r *rig) wantReplaced() {
	r.Helper()
	k := key(-1)
	v := value(100)
	for deadline := in(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := errors.Join(r.Put(r.Context(), k, v, in(time.Hour), external.ClassUnproved), r.Delete(r.Context(), key(1)))
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			r.Fatal("the store does not recover: ", err)
		}
	}
	r.put(key(2), v)
	r.flush(r)
	r.want(key(2), v)
	if got, err := r.Load(r.Context()); string(got) != "log" {
		r.Fatalf("the log is %q, %v", got, err)
	}
	aside, err := asideOf(r.path)
	if len(aside) != 1 || err != nil {
		r.Fatalf("set aside: %v, %v", aside, err)
	}
	r.reopen(Config{})
	r.want(k, v)
	if got, err := r.Load(r.Context()); string(got) != "log" {
		r.Fatalf("after it was opened again, the log is %q, %v", got, err)
	}
	if !strings.Contains(r.log.String(), "moved_to="+aside[0]) {
		r.Error(&r.log)
	}
}

// TestFlippedValue makes damage that bbolt cannot detect.
func TestFlippedValue(t *testing.T) {
	r := newRig(t, Config{})
	must(t, r.CompareAndSwap(t.Context(), nil, []byte("log")))
	for n := range 20 {
		r.put(key(n), numbered(n))
	}
	r.flush(t)
	data, err := os.ReadFile(r.path)
	must(t, err)
	f, err := os.OpenFile(r.path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	k := key(7)
	at := 0 // just after each copy of the key
	for next := 0; next >= 0; next = bytes.Index(data[at:], k[:]) {
		if at += next; next > 0 {
			at += len(k) + checksumSize
			_, err := f.WriteAt([]byte{^data[at]}, int64(at))
			must(t, err)
		}
	}
	r.want(key(6), numbered(6))
	_, err = r.Get(t.Context(), k)
	if err == nil || !strings.Contains(err.Error(), "checksum") || !strings.Contains(err.Error(), k.String()) {
		t.Error(err)
	}
	r.wantReplaced()
}

// TestRemovedFile replaces the file with another store's, which must not be set aside.
func TestRemovedFile(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	r.put(key(1), numbered(1))
	r.flush(t)
	f, err := os.OpenFile(r.path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	must(t, os.Remove(r.path))
	other, err := Open(r.path, quiet)
	must(t, err)
	damages["truncated"](t, f, 0)
	r.useDamaged("reads")
	for range 3 {
		err := r.Delete(t.Context(), key(1))
		if err == nil || !strings.Contains(err.Error(), "it is open already") {
			t.Fatal(err)
		}
	}
	if aside, err := asideOf(r.path); len(aside) > 0 || err != nil {
		t.Fatal(aside, err)
	}
	must(t, other.Close())
	must(t, r.Delete(t.Context(), key(1)))
}

// TestReplaceIsNotHasty checks that a new file is not replaced at once.
func TestReplaceIsNotHasty(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	begin := time.Now()
	for range 2 {
		r.put(key(1), numbered(1))
		r.flush(t)
		f, err := os.OpenFile(r.path, os.O_RDWR, 0)
		must(t, err)
		damages["metas"](t, f, 0)
		f.Close()
		for r.Delete(t.Context(), key(1)) != nil { // until a commit has reached another file
			time.Sleep(time.Millisecond)
		}
	}
	if took := time.Since(begin); took < replaceInterval {
		t.Errorf("the second file was replaced after %v", took)
	}
}

// TestStuckCommit has a read that panics while it holds bbolt's locks, and a commit that
// waits for them.
func TestStuckCommit(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	r.put(key(1), numbered(1))
	r.flush(t)
	must(t, r.CompareAndSwap(t.Context(), nil, []byte("log")))
	f, end := r.file, r.hang()
	defer end()
	r.put(key(3), numbered(3))
	r.hurry()
	time.Sleep(50 * time.Millisecond)
	r.condemn(f, damaged("by a test"))
	if _, err := r.Get(t.Context(), key(1)); err == nil || !strings.Contains(err.Error(), "by a test") {
		t.Error(err)
	}
	r.wantReplaced()
	r.want(key(3), numbered(3)) // was pending
}
