package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A config is bogo.json, which the runner reads too.
type config struct {
	// Revision is the BoringSSL commit that the rest was written for. Passed is how many
	// tests passed with it. No fewer may pass.
	Revision string
	Passed   int

	// DisabledTests maps a pattern of names to "class: sentence", or to "run: why" for tests
	// that a shorter pattern would otherwise disable.
	DisabledTests map[string]string

	// ErrorMap maps each of BoringSSL's errors to the errors of this shim that mean the
	// same. The runner reads it: a test fails if the connection fails for a reason other
	// than the expected one.
	ErrorMap map[string][]string
}

// runPrefix begins the sentence of a pattern whose tests are run.
const runPrefix = "run: "

func readConfig(path string) (*config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := new(config)
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for pattern, sentence := range c.DisabledTests {
		if _, _, ok := cutClass(sentence); !ok && !strings.HasPrefix(sentence, runPrefix) {
			return nil, fmt.Errorf("%s: the sentence for %q begins neither with a class nor with %q: %q", path, pattern, runPrefix, sentence)
		}
		if _, err := filepath.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("%s: the pattern %q: %w", path, pattern, err)
		}
	}
	return c, nil
}

// disabled returns why a test is disabled, or nil. The longest pattern that matches may have
// the test run. If it does not, the matching pattern with the earliest class is the reason.
func (c *config) disabled(test string) *declined {
	var matching []declined
	for pattern, sentence := range c.DisabledTests {
		if ok, _ := filepath.Match(pattern, test); ok {
			class, why, _ := cutClass(sentence) // the class is empty if the test must run
			matching = append(matching, declined{Class: class, Sentence: why, By: pattern, Pattern: true})
		}
	}
	slices.SortFunc(matching, func(a, b declined) int {
		return cmp.Or(len(b.By)-len(a.By), strings.Compare(a.By, b.By))
	})
	if len(matching) == 0 || matching[0].Class == "" {
		return nil
	}
	slices.SortStableFunc(matching, func(a, b declined) int { return a.Class.rank() - b.Class.rank() })
	return &matching[slices.IndexFunc(matching, func(d declined) bool { return d.Class != "" })]
}
