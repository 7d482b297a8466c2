package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/halfshake/halfshake/external"
)

// lossBound is the age up to which a crash can lose a session, as Store documents.
const lossBound = 2 * time.Second

// live puts entries until it is killed, and prints each operation when it returns. If mixed
// is true, it also deletes, takes and swaps the log, each of which is a commit.
func live(mixed bool) {
	ctx := context.Background()
	s, err := Open(os.Getenv("BOLTSTORE_FILE"), quiet)
	say := func(deed string, n int, err error) {
		if err != nil {
			panic(err)
		}
		fmt.Println(deed, n, time.Now().UnixNano())
	}
	say("open", 0, err)
	log, err := s.Load(ctx)
	if err != nil && !errors.Is(err, external.ErrNotFound) {
		panic(err)
	}
	epoch := epochOf(log)
	for n := epoch << 20; ; n++ { // not in the range of an earlier child
		say("put", n, s.Put(ctx, key(n), numbered(n), in(time.Hour), external.ClassUnproved))
		time.Sleep(3 * time.Millisecond) // slow enough that only commitInterval causes commits
		if !mixed || position(n) != 49 {
			continue
		}
		say("delete", n-30, s.Delete(ctx, key(n-30)))
		_, err := s.Take(ctx, key(n-20))
		say("take", n-20, err)
		next := binary.BigEndian.AppendUint64(nil, uint64(epoch+1))
		say("log", epoch+1, s.CompareAndSwap(ctx, log, next))
		log, epoch = next, epoch+1
	}
}

// position returns entry n's position within a group of fifty, counted from its child's
// first entry.
func position(n int) int { return (n & (1<<20 - 1)) % 50 }

func epochOf(log []byte) int {
	if log == nil {
		return 0
	}
	return int(binary.BigEndian.Uint64(log))
}

// numbered returns the value of entry n, of 8 to 2007 bytes.
func numbered(n int) []byte {
	return bytes.Repeat(binary.BigEndian.AppendUint64(nil, uint64(n)), 1+n%250)
}

// TestKill kills processes while they write, and checks the operations that they
// acknowledged. BOLTSTORE_KILLS is the number of kills in each of three parallel runs.
func TestKill(t *testing.T) {
	t.Parallel()
	kills := 1
	if n := os.Getenv("BOLTSTORE_KILLS"); n != "" {
		var err error
		if kills, err = strconv.Atoi(n); err != nil {
			t.Fatal(err)
		}
	}
	var lanes sync.WaitGroup
	defer lanes.Wait()
	for _, role := range []string{"puts", "puts", "mixed"} {
		path := filepath.Join(t.TempDir(), "sessions.db")
		lanes.Go(func() {
			for range kills {
				testKill(t, role, path)
			}
		})
	}
}

func testKill(t *testing.T, role, path string) {
	c := startChild(t, role, path)
	time.Sleep(lossBound + time.Second + rand.N(700*time.Millisecond))
	c.kill()
	killed := time.Now()

	s, err := Open(path, quiet)
	if err != nil {
		t.Error(err)
		return
	}
	defer wantWhole(t, path)
	defer s.Close()
	removed := make(map[int]bool)
	epoch, put := 0, make(map[int]time.Time)
	for _, line := range c.lines {
		var deed string
		var n int
		var ns int64
		if _, err := fmt.Sscan(line, &deed, &n, &ns); err != nil {
			continue // the line was cut off
		}
		switch deed {
		case "put":
			put[n] = time.Unix(0, ns)
		case "delete", "take":
			removed[n] = true
		case "log":
			epoch = n
		}
	}
	last := 0
	for n := range put {
		last = max(last, n)
	}
	old := 0
	for n, at := range put {
		got, err := s.Get(t.Context(), key(n))
		// The child may have been killed before it printed the last two removals.
		unsaid := n >= last-80 && (position(n) == 19 || position(n) == 29)
		switch {
		case removed[n] && !errors.Is(err, external.ErrNotFound):
			t.Errorf("entry %d had been removed, and Get returned %d bytes, %v", n, len(got), err)
		case err == nil && !bytes.Equal(got, numbered(n)):
			t.Errorf("entry %d has another value", n)
		case killed.Sub(at) < lossBound || removed[n] || unsaid && role == "mixed":
		case err != nil:
			t.Errorf("entry %d, put %v before the crash, is lost: %v", n, killed.Sub(at), err)
		}
		if killed.Sub(at) >= lossBound {
			old++
		}
	}
	if old < 50 || role == "mixed" && (len(removed) < 4 || epoch == 0) {
		t.Errorf("the child put %d entries before the last seconds, removed %d and is at epoch %d: the test shows too little", old, len(removed), epoch)
	}
	log, err := s.Load(t.Context())
	if role == "mixed" && (err != nil || epochOf(log) != epoch && epochOf(log) != epoch+1) {
		t.Errorf("the log is at epoch %d, want %d: %v", epochOf(log), epoch, err)
	}
}
