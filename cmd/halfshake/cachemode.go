package main

import (
	"fmt"
	"strings"

	"github.com/halfshake/halfshake"
)

// modes are the words that --cache-mode accepts.
var modes = []struct {
	word string
	mode halfshake.Mode
}{
	{"server", halfshake.ModeServer},
	{"off", halfshake.ModeOff},
	{"no-auto-clear", halfshake.ModeNoAutoClear},
	{"no-internal-lookup", halfshake.ModeNoInternalLookup},
	{"no-internal-store", halfshake.ModeNoInternalStore},
	{"no-internal", halfshake.ModeNoInternal},
	{"update-time", halfshake.ModeUpdateTime},
}

// A cacheMode is a list of them.
type cacheMode struct{ halfshake.Mode }

// UnmarshalText reads words joined by commas.
func (m *cacheMode) UnmarshalText(text []byte) error {
	var mode halfshake.Mode
	for word := range strings.SplitSeq(string(text), ",") {
		bits, ok := modeOf(strings.TrimSpace(word))
		if !ok {
			return fmt.Errorf("%q is not a cache mode; choose from %s", word, strings.Join(modeWords(), ", "))
		}
		mode |= bits
	}
	if mode&halfshake.ModeOff != 0 && mode != halfshake.ModeOff {
		return fmt.Errorf("off cannot be combined with other modes, as in %q", text)
	}
	if mode != halfshake.ModeOff { // flags alone
		mode |= halfshake.ModeServer
	}
	m.Mode = mode
	return nil
}

func modeOf(word string) (halfshake.Mode, bool) {
	for _, m := range modes {
		if m.word == word {
			return m.mode, true
		}
	}
	return 0, false
}

func modeWords() []string {
	words := make([]string, len(modes))
	for i, m := range modes {
		words[i] = m.word
	}
	return words
}
