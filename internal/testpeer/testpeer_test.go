package testpeer

import (
	"cmp"
	"os/exec"
	"testing"
)

// recorder records how a test would end: by the first call, after which a test's goroutine
// does not go on.
type recorder struct {
	testing.TB
	ended string
}

func (r *recorder) Fatal(...any) { r.ended = cmp.Or(r.ended, "failed") }
func (r *recorder) Skip(...any)  { r.ended = cmp.Or(r.ended, "skipped") }
func (r *recorder) Helper()      {}

// TestNeed checks that a missing program skips a test, and fails it in CI.
func TestNeed(t *testing.T) {
	for ci, want := range map[string]string{"": "skipped", "false": "skipped", "true": "failed"} {
		t.Setenv("CI", ci)
		r := &recorder{TB: t}
		if Need(r, "no-such-program-of-halfshake"); r.ended != want {
			t.Errorf("CI=%q: %q, want %q", ci, r.ended, want)
		}
		r = &recorder{TB: t}
		want, err := exec.LookPath("go")
		if got := Need(r, "go"); err != nil || got != want || r.ended != "" {
			t.Errorf("CI=%q: %q, %q, %v", ci, got, r.ended, err)
		}
	}
}
