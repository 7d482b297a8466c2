package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A report is the result of one run of the suite.
type report struct {
	config  *config
	results map[string]string // PASS, FAIL or SKIP, by test
	skips   map[string]declined
	partial bool // whether only some tests were run
}

// reportMain prints the counts and all faults.
func reportMain(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("bogo report", flag.ContinueOnError)
	flags.SetOutput(stderr)
	configPath := flags.String("config", "bogo.json", "the configuration")
	results := flags.String("results", "", "what the runner wrote with -json-output")
	skips := flags.String("skips", "", "what the shim wrote with -skips")
	partial := flags.Bool("partial", false, "only some tests were run: do not look for what is missing")
	verbose := flags.Bool("v", false, "name every skipped test")
	if err := flags.Parse(args); err != nil {
		return exitFailed
	}
	r := &report{partial: *partial}
	if err := r.read(*configPath, *results, *skips); err != nil {
		fmt.Fprintln(stderr, "bogo report:", err)
		return exitFailed
	}
	r.table(stdout)
	if *verbose {
		r.names(stdout)
	}
	faults := r.faults()
	for _, fault := range faults {
		fmt.Fprintln(stderr, "bogo report:", fault)
	}
	if len(faults) > 0 {
		return exitFailed
	}
	return exitOK
}

func (r *report) read(configPath, results, skips string) (err error) {
	if r.config, err = readConfig(configPath); err != nil {
		return err
	}
	data, err := os.ReadFile(results)
	if err != nil {
		return err
	}
	var file struct {
		Tests map[string]struct {
			Actual string `json:"actual"`
		} `json:"tests"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return fmt.Errorf("%s: %w", results, err)
	}
	r.results = make(map[string]string)
	for name, test := range file.Tests {
		r.results[name] = test.Actual
	}
	return r.readSkips(skips)
}

// readSkips reads the shims' records. If no test was skipped, there is no file.
func (r *report) readSkips(path string) error {
	r.skips = make(map[string]declined)
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var d declined
		if err := json.Unmarshal(lines.Bytes(), &d); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		r.skips[d.Test] = d
	}
	return lines.Err()
}

// with returns the tests with a result, in order.
func (r *report) with(result string) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(r.results)) {
		if r.results[name] == result {
			names = append(names, name)
		}
	}
	return names
}

// skipped counts the skipped tests of a class: because of a flag, and because of a name.
func (r *report) skipped(c class) (byFlag, byName int) {
	for _, name := range r.with("SKIP") {
		switch d := r.skips[name]; {
		case d.Class != c:
		case d.Pattern:
			byName++
		default:
			byFlag++
		}
	}
	return byFlag, byName
}

func (r *report) table(w io.Writer) {
	fmt.Fprintf(w, "%6d tests\n", len(r.results))
	fmt.Fprintf(w, "%6d passed\n", len(r.with("PASS")))
	fmt.Fprintf(w, "%6d failed\n", len(r.with("FAIL")))
	fmt.Fprintf(w, "%6d skipped:\n", len(r.with("SKIP")))
	for _, c := range classes {
		byFlag, byName := r.skipped(c)
		fmt.Fprintf(w, "%6d   %s (%d by a flag, %d by name)\n", byFlag+byName, c, byFlag, byName)
	}
}

// names lists the skipped tests, with their classes and sentences.
func (r *report) names(w io.Writer) {
	for _, name := range r.with("SKIP") {
		d := r.skips[name]
		fmt.Fprintf(w, "%s: %s: %s (%s)\n", name, d.Class, d.Sentence, d.By)
	}
}

// faults lists everything that is wrong with the report.
func (r *report) faults() (faults []string) {
	for _, name := range r.with("FAIL") {
		faults = append(faults, name+" failed")
	}
	for _, name := range r.with("SKIP") {
		if d := r.skips[name]; d.Class.rank() < 0 || d.Sentence == "" {
			faults = append(faults, name+" was skipped without a class")
		}
	}
	if r.partial {
		return faults
	}
	if passed := len(r.with("PASS")); passed < r.config.Passed {
		faults = append(faults, fmt.Sprintf("%d tests passed, fewer than the %d of the configuration", passed, r.config.Passed))
	}
	return append(faults, r.deadPatterns()...)
}

// deadPatterns lists the patterns of the configuration that decide no test.
func (r *report) deadPatterns() (faults []string) {
	used := make(map[string]bool)
	for _, d := range r.skips {
		used[d.By] = true
	}
	for _, pattern := range slices.Sorted(maps.Keys(r.config.DisabledTests)) {
		if strings.HasPrefix(r.config.DisabledTests[pattern], runPrefix) {
			used[pattern] = slices.ContainsFunc(r.with("PASS"), func(name string) bool {
				ok, _ := filepath.Match(pattern, name)
				return ok
			})
		}
		if !used[pattern] {
			faults = append(faults, fmt.Sprintf("the pattern %q of the configuration decides about no test", pattern))
		}
	}
	return faults
}
