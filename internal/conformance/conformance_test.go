package conformance

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/halfshake/halfshake/internal/testleaks"
	"github.com/halfshake/halfshake/internal/testpeer"
)

func TestMain(m *testing.M) { testleaks.Main(m) }

var update = flag.Bool("update", false, "record the libssl at hand anew")

const (
	scenariosDir    = "testdata/scenarios"
	recordingsGlob  = "testdata/libssl-*"
	fewestScenarios = 120
)

func recordingsDir(version string) string { return "testdata/libssl-" + version }

// loadScenarios parses every scenario.
func loadScenarios(t testing.TB) []*Scenario {
	t.Helper()
	names, err := filepath.Glob(scenariosDir + "/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []*Scenario
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Parse(filepath.Base(name), data)
		if err != nil {
			t.Errorf("%s/%v", scenariosDir, err)
			continue
		}
		all = append(all, s)
	}
	return all
}

// TestLibssl holds that the libssl at hand behaves as its recordings say.
func TestLibssl(t *testing.T) {
	r := newRunnerOrSkip(t)
	scenarios := loadScenarios(t)
	files := r.recordAll(t, scenarios)
	if *update {
		writeRecordings(t, recordingsDir(r.version), files)
		return
	}
	if _, err := os.Stat(recordingsDir(r.version)); err != nil {
		if reportOtherVersion(t, r.version, scenarios, files) {
			testpeer.Missing(t, "there are no recordings of libssl "+r.version+", and it differs from the recorded ones; run go test ./internal/conformance -run TestLibssl -update")
		}
		return
	}
	for _, s := range scenarios {
		want := readRecording(t, recordingsDir(r.version), s)
		if got := files[s.Name]; got.String() != want.String() {
			t.Errorf("%s: libssl %s no longer does what was recorded; run with -update and look at the change\nrecorded:\n%s\nnow:\n%s", s.Name, r.version, want, got)
		}
	}
}

func newRunnerOrSkip(t *testing.T, definitions ...string) runner {
	t.Helper()
	r, missing := newRunner(t, definitions...)
	switch {
	case missing == "":
	case *update:
		t.Fatal(missing)
	default:
		testpeer.Missing(t, missing)
	}
	return r
}

// TestClockProbe holds that the program stops if libssl does not use its clock: here the
// functions that should stand before the C library's have other names.
func TestClockProbe(t *testing.T) {
	r := newRunnerOrSkip(t, "-Dtime=other_time", "-Dgettimeofday=other_gettimeofday", "-Dclock_gettime=other_clock_gettime")
	out, err := exec.Command(r.path, r.certificates, "1000").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "libssl does not use the clock of this program") {
		t.Errorf("%v: %s", err, out)
	}
}

// reportOtherVersion logs where a libssl without recordings behaves differently from
// those with some, and reports whether it does.
func reportOtherVersion(t *testing.T, version string, scenarios []*Scenario, files map[string]File) (differs bool) {
	t.Helper()
	dirs, _ := filepath.Glob(recordingsGlob)
	differs = len(dirs) == 0
	for _, dir := range dirs {
		var differing []string
		for _, s := range scenarios {
			if readRecording(t, dir, s).String() != files[s.Name].String() {
				differing = append(differing, s.Name)
			}
		}
		differs = differs || len(differing) > 0
		t.Logf("libssl %s differs from %s in %d of %d scenarios: %s", version, filepath.Base(dir), len(differing), len(scenarios), strings.Join(differing, ", "))
	}
	return differs
}

func writeRecordings(t *testing.T, dir string, files map[string]File) {
	t.Helper()
	if t.Failed() {
		t.Fatal("nothing is written")
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, f := range files {
		if err := os.WriteFile(filepath.Join(dir, name+".txt"), []byte(f.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func readRecording(t testing.TB, dir string, s *Scenario) File {
	t.Helper()
	name := filepath.Join(dir, s.Name+".txt")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Errorf("%v; run go test ./internal/conformance -run TestLibssl -update", err)
		return nil
	}
	f, err := ParseFile(string(data))
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return f
}

// totals is what the run of all scenarios comes to.
type totals struct {
	mu                              sync.Mutex
	scenarios, same, different      int
	runs, commands, differing, open int
}

// TestScenarios compares a Cache with each recorded libssl.
func TestScenarios(t *testing.T) {
	scenarios := loadScenarios(t)
	if len(scenarios) < fewestScenarios {
		t.Errorf("%d scenarios, want at least %d", len(scenarios), fewestScenarios)
	}
	dirs, err := filepath.Glob(recordingsGlob)
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for _, dir := range dirs {
		noOrphans(t, dir, scenarios)
		var sum totals
		t.Run(filepath.Base(dir), func(t *testing.T) {
			for _, s := range scenarios {
				t.Run(s.Name, func(t *testing.T) {
					t.Parallel()
					compare(t, s, readRecording(t, dir, s), &sum)
				})
			}
		})
		t.Logf("%s: %d scenarios: %d same, %d different on purpose, %d unexplained differences; %d runs, %d commands, %d of them different on purpose",
			filepath.Base(dir), sum.scenarios, sum.same, sum.different, sum.open, sum.runs, sum.commands, sum.differing)
	}
}

// compare plays a scenario in all its variants.
func compare(t *testing.T, s *Scenario, file File, sum *totals) {
	used := make(map[int]bool) // lines of differences
	for _, v := range s.variants() {
		t.Run(v.String(), func(t *testing.T) {
			libssl := file[v.protocol]
			if len(libssl) != len(s.Steps) {
				t.Fatalf("the recording has %d commands and the scenario %d; run go test ./internal/conformance -run TestLibssl -update", len(libssl), len(s.Steps))
			}
			judge(t, s, v, libssl, play(t, s, v), used, sum)
		})
	}
	for _, step := range s.Steps {
		for _, d := range step.Differences {
			if !used[d.Line] && !t.Failed() {
				t.Errorf("%s/%s.txt:%d explains a difference that no run has", scenariosDir, s.Name, d.Line)
			}
		}
	}
	sum.mu.Lock()
	defer sum.mu.Unlock()
	sum.scenarios++
	if len(used) == 0 {
		sum.same++
	} else {
		sum.different++
	}
}

// judge compares one run, command by command.
func judge(t *testing.T, s *Scenario, v variant, libssl, cache Recording, used map[int]bool, sum *totals) {
	sum.mu.Lock()
	defer sum.mu.Unlock()
	sum.runs++
	for i, step := range s.Steps {
		if libssl[i].Command != step.String() {
			t.Fatalf("the recording has %q where the scenario has %q; run go test ./internal/conformance -run TestLibssl -update", libssl[i].Command, step)
		}
		sum.commands++
		verdict, which, problem := step.Judge(v.words(), libssl[i].Output, cache[i].Output)
		switch verdict {
		case Unexplained:
			sum.open++
			t.Errorf("%s/%s.txt:%d: %s\n%s", scenariosDir, s.Name, step.Line, step, problem)
		case Different:
			sum.differing++
			used[step.Differences[which].Line] = true
		}
	}
}

// noOrphans finds recordings whose scenario is gone.
func noOrphans(t *testing.T, dir string, scenarios []*Scenario) {
	t.Helper()
	names, _ := filepath.Glob(dir + "/*.txt")
	for _, name := range names {
		base := strings.TrimSuffix(filepath.Base(name), ".txt")
		if !slices.ContainsFunc(scenarios, func(s *Scenario) bool { return s.Name == base }) {
			t.Errorf("%s has no scenario", name)
		}
	}
}
