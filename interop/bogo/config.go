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

// A config is bogo.json, in the form that the runner reads, too.
type config struct {
	// Revision is the commit of BoringSSL that the rest was written for, and
	// Passed how many tests passed then: no fewer may.
	Revision string
	Passed   int

	// DisabledTests maps a pattern of names to "class: sentence" or, for what a
	// shorter pattern would disable, to "run: why".
	DisabledTests map[string]string

	// ErrorMap maps what BoringSSL says to what of this shim's errors says the
	// same, any of them. The runner reads it; a failure for another reason than
	// the expected one is a test that has failed.
	ErrorMap map[string][]string
}

// runPrefix begins the sentence of a pattern whose tests run.
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

// disabled returns why a test is, or nil. If the longest pattern that matches does
// not let it run, the one whose class comes first is the reason.
func (c *config) disabled(test string) *declined {
	var matching []declined
	for pattern, sentence := range c.DisabledTests {
		if ok, _ := filepath.Match(pattern, test); ok {
			class, why, _ := cutClass(sentence) // none if it is to run
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
