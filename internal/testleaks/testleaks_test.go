package testleaks

import (
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

// A goroutine that is left is named; one that ends in time is not.
func TestLeft(t *testing.T) {
	end := make(chan struct{})
	go waitFor(end)
	if left := Left(50 * time.Millisecond); !strings.Contains(left, "waitFor") {
		t.Errorf("a goroutine that waits is not found: %q", left)
	}
	close(end)
	// The goroutine of Main is this project's too while a test runs, so there is
	// always something left.
	for deadline := time.Now().Add(5 * time.Second); strings.Contains(Left(0), "waitFor"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a goroutine that has ended is found")
		}
	}
}

func waitFor(end <-chan struct{}) { <-end }
