// Package testleaks finds the goroutines that outlive what started them. Only tests
// import it. The modules that may have dependencies use go.uber.org/goleak instead.
package testleaks

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Main is a TestMain that fails the run if a goroutine of this project outlives the
// tests.
func Main(m *testing.M) {
	code := m.Run()
	if left := Left(5 * time.Second); code == 0 && left != "" {
		fmt.Fprintf(os.Stderr, "goroutines outlive the tests:\n%s\n", left)
		code = 1
	}
	os.Exit(code)
}

// Left waits for the goroutines of this project, the caller's own apart, to end, and
// returns the stacks of those that do not.
func Left(patience time.Duration) string {
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		buf := make([]byte, 1<<20)
		var left []string
		for i, stack := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if i > 0 && strings.Contains(stack, "halfshake") {
				left = append(left, stack)
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return strings.Join(left, "\n\n")
		}
	}
}
