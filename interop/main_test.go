package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// built is the directory of the command, if the tests built it.
var built string

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if built != "" {
			_ = os.RemoveAll(built)
		}
		os.Exit(code)
	}))
}

// command returns the command under test: HALFSHAKE_BIN, or one built from this tree, once.
func command(t *testing.T) string {
	t.Helper()
	binary, err := findCommand()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

var findCommand = sync.OnceValues(func() (string, error) {
	if binary := os.Getenv("HALFSHAKE_BIN"); binary != "" {
		return binary, nil
	}
	var err error
	if built, err = os.MkdirTemp("", "halfshake-interop"); err != nil {
		return "", err
	}
	binary := filepath.Join(built, "halfshake")
	build := exec.Command("go", "build", "-o", binary, "github.com/halfshake/halfshake/cmd/halfshake")
	build.Dir = filepath.Join("..", "cmd", "halfshake") // so that it also builds without the workspace
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build halfshake: %w\n%s", err, out)
	}
	return binary, nil
})
