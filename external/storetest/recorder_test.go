package storetest

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestMain has more tests run at once than there are processors, since many of
// them wait for an entry to expire.
func TestMain(m *testing.M) {
	flag.Set("test.parallel", "8")
	os.Exit(m.Run())
}

// A recorder is the tester that stands in where a check should fail.
type recorder struct {
	mu       sync.Mutex
	failures []string
}

func (r *recorder) Helper() {}

func (r *recorder) Logf(string, ...any) {}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) FailNow() { runtime.Goexit() }

// failuresOf returns what check had to say.
func failuresOf(check func(tester)) string {
	r := new(recorder)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		check(r)
	}()
	<-ended
	return strings.Join(r.failures, "\n")
}

// wantFailure holds that check fails, and shows with -v what it says.
func wantFailure(t *testing.T, check func(tester)) {
	t.Helper()
	says := failuresOf(check)
	if says == "" {
		t.Error("the check found nothing wrong")
	}
	t.Log(says)
}

// named returns the checks of these names.
func named[P any](t *testing.T, checks []check[P], names string) (found []check[P]) {
	t.Helper()
	wanted := strings.Fields(names)
	for _, c := range checks {
		if slices.Contains(wanted, c.name) {
			found = append(found, c)
		}
	}
	if len(found) != len(wanted) {
		t.Fatalf("there are no checks of all these names: %s", names)
	}
	return found
}
