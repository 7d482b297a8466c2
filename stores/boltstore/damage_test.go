package boltstore

import (
	"bytes"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/halfshake/halfshake/external"
)

// sample returns a file with entries of many sizes, a log, free pages and a tree of two
// levels. It is small, so that damage is likely to hit pages in use.
func sample(t testing.TB) []byte {
	t.Helper()
	r := newRigIn(t, quickDir(t), Config{MaxBytes: minMaxBytes})
	for n := range 300 {
		r.put(key(n), numbered(n))
	}
	r.put(key(300), bytes.Repeat([]byte("x"), external.MaxValueSize))
	r.flush(t)
	for n := 100; n < 200; n++ {
		if err := r.Put(t.Context(), key(n), numbered(n), in(2*time.Hour), external.ClassUnproved); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.CompareAndSwap(t.Context(), nil, []byte("log")); err != nil {
		t.Fatal(err)
	}
	if err := r.Store.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(r.path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// survive opens a file with the given data, uses it and returns the log output. No key may
// have another key's value, the store must work, and the file must be intact afterwards.
func survive(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s, err := Open(path, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 300 {
		got, err := s.Get(t.Context(), key(n))
		if err == nil && !bytes.Equal(got, numbered(n)) {
			t.Fatalf("entry %d has another value", n)
		}
		if err != nil && !errors.Is(err, external.ErrNotFound) {
			t.Fatal(err)
		}
	}
	if old, err := s.Load(t.Context()); err == nil && string(old) != "log" {
		t.Fatalf("the log is %q", old)
	}
	if err := s.Put(t.Context(), key(-1), []byte("new"), in(time.Hour), external.ClassUnproved); err != nil {
		t.Fatal(err)
	}
	var deletes sync.WaitGroup
	for n := range 20 {
		deletes.Go(func() {
			if err := s.Delete(t.Context(), key(15*n)); err != nil {
				t.Error(err)
			}
		})
	}
	deletes.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantWhole(t, path)
	return log.String()
}

// TestDamage opens files with the obvious kinds of damage.
func TestDamage(t *testing.T) {
	t.Parallel()
	whole := sample(t)
	for name, test := range map[string]struct {
		data []byte
		why  string
	}{
		"whole":            {whole, ""},
		"one byte":         {[]byte("x"), "ends at byte"},
		"garbage":          {value(200_000), "not a bbolt file"},
		"zeros":            {make([]byte, 4*pageSize), "not a bbolt file"},
		"text":             {bytes.Repeat([]byte("# a configuration\n"), 5000), "not a bbolt file"},
		"a page too short": {whole[:len(whole)/2], "ends within"},
		"another bbolt":    {anotherBolt(t, nil), "its pages have 4096 bytes"},
		"another's":        {anotherBolt(t, func(o *bbolt.Options) { o.PageSize = pageSize }), "something else wrote it"},
		"of the past":      {bytes.ReplaceAll(whole, formatValue, []byte("halfshake boltstore 1")), "halfshake boltstore 1"},
		"of the future":    {bytes.ReplaceAll(whole, formatValue, []byte("halfshake boltstore 3")), "halfshake boltstore 3"},
		"a first page":     {flipped(whole, pageHeaderSize+12), "checksum of its first pages"},
		"a second page":    {flipped(whole, pageSize+pageHeaderSize+12), "checksum of its first pages"},
		"a session twice":  {twice(t, whole), "stored twice"},
		"shifted":          {whole[1:], "not a bbolt file"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(quickDir(t), "sessions.db")
			log := survive(t, path, test.data)
			aside, err := asideOf(path)
			if err != nil {
				t.Fatal(err)
			}
			if test.why == "" {
				if log != "" || len(aside) > 0 {
					t.Fatal(log, aside)
				}
				return
			}
			if len(aside) != 1 {
				t.Fatalf("set aside: %v", aside)
			}
			for _, word := range []string{test.why, "file=" + path, "moved_to=" + aside[0], "error="} {
				if !strings.Contains(log, word) {
					t.Errorf("the log does not say %q: %s", word, log)
				}
			}
			if kept, err := os.ReadFile(aside[0]); !bytes.Equal(kept, test.data) {
				t.Errorf("the file set aside has changed: %v", err)
			}
		})
	}
}

func TestTruncatedFiles(t *testing.T) {
	t.Parallel()
	whole := sample(t)
	random := rand.New(rand.NewPCG(1, 3))
	cuts := []int{1, 15, 16, 79, 80, 4096, pageSize - 1, pageSize, pageSize + 79, 2 * pageSize, 4 * pageSize, len(whole) - 1}
	for range 40 {
		cuts = append(cuts, 1+random.IntN(len(whole)-1))
	}
	for i, cut := range cuts {
		survive(t, filepath.Join(quickDir(t), "sessions.db"), whole[:cut])
		if t.Failed() {
			t.Fatalf("round %d: cut after %d bytes", i, cut)
		}
	}
}

// TestFlippedBits flips a few bits in each round: anywhere, in page headers, and just
// after them, where the numbers are.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	whole := sample(t)
	found := 0
	const rounds = 120
	for seed := range uint64(rounds) {
		random := rand.New(rand.NewPCG(seed, 4))
		data := bytes.Clone(whole)
		for range 1 + random.IntN(3) {
			at := random.IntN(len(data))
			if seed%4 > 0 {
				at = at/pageSize*pageSize + random.IntN(16+64*int(seed%4))
			}
			data[at%len(data)] ^= 1 << random.IntN(8)
		}
		if survive(t, filepath.Join(quickDir(t), "sessions.db"), data) != "" {
			found++
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if found < rounds/4 {
		t.Errorf("damage was found in only %d of %d files: the test shows nothing", found, rounds)
	}
	t.Logf("damage was found in %d of %d files; in the others it hit unused bytes", found, rounds)
}

// TestBranchKey damages a page so that it begins with a different key than its parent
// says. bbolt would read it without error, and later insert it into the tree a second time.
func TestBranchKey(t *testing.T) {
	data := sample(t)
	for at := 2 * pageSize; at < len(data); at += pageSize {
		if order.Uint16(data[at+8:]) == branchPage {
			key := at + pageHeaderSize + int(order.Uint32(data[at+pageHeaderSize:]))
			data[key+idSize-1]--
			data[key+idSize-2]--
		}
	}
	if log := survive(t, filepath.Join(quickDir(t), "sessions.db"), data); !strings.Contains(log, "begins with a different key") {
		t.Error(log)
	}
}

// TestCircle makes a page its own child. bbolt would overflow the stack, which recover
// cannot catch.
func TestCircle(t *testing.T) {
	data := sample(t)
	circles := 0
	for at := 2 * pageSize; at < len(data); at += pageSize {
		if order.Uint16(data[at+8:]) == branchPage {
			order.PutUint64(data[at+pageHeaderSize+8:], order.Uint64(data[at:]))
			circles++
		}
	}
	if circles == 0 {
		t.Fatal("the sample has no branch")
	}
	if log := survive(t, filepath.Join(quickDir(t), "sessions.db"), data); !strings.Contains(log, "two uses") {
		t.Error(log)
	}
}
