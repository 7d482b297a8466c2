package browser

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"flag"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/halfshake/halfshake/internal/testpeer"
	"github.com/halfshake/halfshake/internal/testsecrets"
	"github.com/halfshake/halfshake/interop/serve"
)

var update = flag.Bool("update", false, "write the screenshots in docs/img")

const (
	chromium    = "/usr/bin/chromium"
	scriptLimit = 6 * time.Minute // mostly needed for -update
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// task tells the script what to do.
type task struct {
	URL     string   `json:"url"`
	Metrics string   `json:"metrics"`
	Browser string   `json:"browser"`
	Flags   []string `json:"flags"`
	Want    want     `json:"want"`
	All     bool     `json:"all"`   // whether to make every check, not only that the second load resumes
	Shots   string   `json:"shots"` // the directory for screenshots; empty means no screenshots
}

// want is what the page must say after the second load.
type want struct {
	Mark      string `json:"mark"`
	Protocol  string `json:"protocol"`
	ALPN      string `json:"alpn"`
	ResumedBy string `json:"resumed_by"`
	Engine    string `json:"engine"`
}

// TestPage loads the page twice for each way of resuming. For the first way, the script makes every check.
func TestPage(t *testing.T) {
	need(t)
	binary := build(t)
	for _, c := range []struct {
		name         string
		flags        []string // of Chromium
		args         []string // of the command
		want         want
		all, shooter bool
	}{
		{"TLS 1.3", nil, nil, want{"Resumed by PSK", "TLS 1.3", "h2", "psk", "crypto/tls"}, true, true},
		{"ticket", []string{"--ssl-version-max=tls1.2"}, nil, want{"Resumed by ticket", "TLS 1.2", "h2", "ticket", "crypto/tls"}, false, false},
		{"session id", []string{"--ssl-version-max=tls1.2", "--disable-http2"}, []string{"--session-ids", "always"},
			want{"Resumed by session id", "TLS 1.2", "http/1.1", "session-id", "tls12"}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve.Start(t, binary, c.args...)
			keys := filepath.Join(t.TempDir(), "keys")
			work := task{
				URL: "https://" + strings.Replace(s.Listen, "127.0.0.1", "localhost", 1), Metrics: "http://" + s.Metrics,
				Browser: chromium, Want: c.want, All: c.all,
				Flags: append(c.flags, "--ssl-key-log-file="+keys, "--ignore-certificate-errors-spki-list="+pin(t, s.Listen)),
			}
			if *update && c.shooter {
				work.Shots = filepath.Join("..", "..", "docs", "img")
			}
			run(t, work)
			if work.Shots != "" {
				shrink(t, filepath.Join(work.Shots, "page-light.png"))
				shrink(t, filepath.Join(work.Shots, "page-dark.png"))
			}
			record(t, keys)
		})
	}
}

// need skips the test if something that it needs is missing, or fails it if CI=true is set.
func need(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(chromium); err != nil {
		testpeer.Missing(t, chromium+" is not there: install the Debian package chromium")
	}
	if _, err := exec.LookPath("node"); err != nil {
		testpeer.Missing(t, "node is not on PATH: install Node 20 or later (Debian package nodejs)")
	}
	if _, err := os.Stat(filepath.Join("node_modules", "playwright-core")); err != nil {
		testpeer.Missing(t, "playwright-core is not there: run npm ci in interop/browser")
	}
}

// build returns the command under test: HALFSHAKE_BIN, or one built from this tree.
func build(t *testing.T) string {
	t.Helper()
	if binary := os.Getenv("HALFSHAKE_BIN"); binary != "" {
		return binary
	}
	binary := filepath.Join(t.TempDir(), "halfshake")
	build := exec.Command("go", "build", "-o", binary, "github.com/halfshake/halfshake/cmd/halfshake")
	build.Dir = filepath.Join("..", "..", "cmd", "halfshake") // so that it also builds without the workspace
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build halfshake: %v\n%s", err, out)
	}
	return binary
}

// pin returns the digest by which Chromium trusts the server's key. If it were told to ignore certificate errors instead,
// Chromium would use up each session on a connection that it then drops.
func pin(t *testing.T, addr string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, KeyLogWriter: testsecrets.KeyLog()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	digest := sha256.Sum256(conn.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(digest[:])
}

// run runs the script. Each line that the script prints is the result of a check.
func run(t *testing.T, work task) {
	t.Helper()
	argument, err := json.Marshal(work)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), scriptLimit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "node", "page.mjs", string(argument))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "LC_ALL=C.UTF-8"}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // Playwright then closes the browser
	cmd.WaitDelay = 10 * time.Second
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	failed := cmd.Run()
	checks := 0
	for line := range bytes.Lines(stdout.Bytes()) {
		var check struct{ Name, Error string }
		if err := json.Unmarshal(line, &check); err != nil {
			t.Fatalf("%v in the script's line %q", err, line)
		}
		checks++
		t.Run(check.Name, func(t *testing.T) {
			if check.Error != "" {
				t.Error(check.Error)
			}
		})
	}
	if failed != nil || checks == 0 {
		t.Errorf("the script: %v, after %d checks\n%s", failed, checks, stderr.String())
	}
	_, _ = testsecrets.LogWriter().Write(stdout.Bytes())
}

// record records the secrets in Chromium's key log.
func record(t *testing.T, path string) {
	t.Helper()
	keys, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(keys) {
		if _, err := testsecrets.KeyLog().Write(line); err != nil {
			t.Fatal(err)
		}
	}
}

// shrink reduces a picture to its 256 most frequent colours, and so to a third of its size.
func shrink(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	area := picture.Bounds()
	count := map[color.Color]int{}
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			count[picture.At(x, y)]++
		}
	}
	colors := slices.SortedFunc(maps.Keys(count), func(a, b color.Color) int { return cmp.Compare(count[b], count[a]) })
	small := image.NewPaletted(area, colors[:min(256, len(colors))])
	draw.Draw(small, area, picture, area.Min, draw.Src)
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, small); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
