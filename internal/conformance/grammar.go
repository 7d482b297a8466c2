package conformance

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// usages lists the commands. A word in capitals stands for a kind of word, a|b for one of
// several, and brackets for what may be left out. Optional words follow in any order.
var usages = []string{
	// Caches and the configurations of their servers.
	"cache NAME [scope=NAME]",
	"use NAME",
	"server [verify=none|request|require] [trust=clients|others] [suites=SUITES] [max=1.2|1.3] [groups=GROUPS] [tickets=COUNT] [early-data=COUNT] [alpn=PROTOCOLS]",
	"servername NAME NAME",
	"scope NAME",
	"annotate NAME",

	// Clients and their connections.
	"client NAME [version=1.2|1.3|any] [name=NAME] [suites=SUITES] [groups=GROUPS] [alpn=PROTOCOLS] [certificate=yes] [ems=yes|no]",
	"connect NAME [offer=OFFER] [close=clean|client|server|abrupt|alert-client|alert-server] [times=COUNT] [keep]",
	"forge NAME SESSION [secret=wrong|zero] [suite=aes128|aes256|chacha]",

	// Callbacks. "then" and a command may follow: it runs once, within the callback.
	"on new keep|decline|store|store-decline|unset",
	"on get none|store|unset",
	"on get object|copy SESSION",
	"on remove log|delete|unset",
	"on hello log|unset",
	"callbacks",
	"ids default|constant|fail",
	"ids length COUNT",

	// The external cache, which all caches share.
	"store put|delete SESSION",
	"store spoil SESSION [secret=wrong|zero]",

	// The functions of the API.
	"add blank|SESSION",
	"add copy SESSION",
	"remove null|blank|SESSION",
	"remove copy SESSION",
	"flush [OFFSET]",
	"flush all",
	"mode [MODE]",
	"size [NUMBER]",
	"timeout [NUMBER]",
	"counters",
	"list",
	"session SESSION",
	"data SESSION",
	"data copy SESSION",
	"free",

	// The clock, and work in the background.
	"advance NUMBER",
	"await COUNT",
}

// kinds are the words in capitals.
var kinds = map[string]*regexp.Regexp{
	"NAME":      regexp.MustCompile(`^[a-z][a-z0-9.-]{0,29}$`),
	"SESSION":   regexp.MustCompile(`^s[1-9][0-9]{0,3}$`),
	"OFFER":     regexp.MustCompile(`^(none|s[1-9][0-9]{0,3})$`),
	"COUNT":     regexp.MustCompile(`^[0-9]{1,5}$`),
	"NUMBER":    regexp.MustCompile(`^-?[0-9]{1,8}$`),
	"OFFSET":    regexp.MustCompile(`^[+-][0-9]{1,8}$`),
	"SUITES":    regexp.MustCompile(`^(aes128|aes256|chacha)(,(aes128|aes256|chacha)){0,2}$`),
	"GROUPS":    regexp.MustCompile(`^(X25519|P-256)(:(X25519|P-256))?$`),
	"PROTOCOLS": regexp.MustCompile(`^[a-z0-9.]{1,8}(,[a-z0-9.]{1,8}){0,3}$`),
	"MODE":      regexp.MustCompile(`^(off|[a-z]+(-[a-z]+)*(,[a-z]+(-[a-z]+)*)*)$`),
}

// modeWords are the words of a MODE.
var modeWords = []string{"off", "client", "server", "both", "no-auto-clear", "no-internal-lookup", "no-internal-store", "no-internal", "update-time"}

// checkCommand returns an error unless the words are a command.
func checkCommand(words []string) error {
	command, then, nested := cutThen(words)
	if nested {
		switch {
		case len(command) == 0 || command[0] != "on":
			return fmt.Errorf("only the command on takes a then")
		case slices.Contains(then, "then"):
			return fmt.Errorf("a command after then has no then of its own")
		}
		if err := checkCommand(then); err != nil {
			return err
		}
	}
	var fitting []string
	for _, usage := range usages {
		pattern := strings.Fields(usage)
		if pattern[0] != command[0] {
			continue
		}
		if fits(pattern, command) {
			return nil
		}
		fitting = append(fitting, usage)
	}
	if fitting == nil {
		return fmt.Errorf("there is no command %q", command[0])
	}
	return fmt.Errorf("%q is none of: %s", strings.Join(command, " "), strings.Join(fitting, "; "))
}

// cutThen splits the words of a command at "then".
func cutThen(words []string) (command, then []string, found bool) {
	if i := slices.Index(words, "then"); i > 0 && i < len(words)-1 {
		return words[:i], words[i+1:], true
	}
	return words, nil, false
}

// fits reports whether the words match the pattern of a usage.
func fits(pattern, words []string) bool {
	if len(words) > len(pattern) {
		return false // no optional word may be repeated
	}
	var optional []string
	for _, p := range pattern {
		if inner, ok := strings.CutPrefix(p, "["); ok {
			optional = append(optional, strings.TrimSuffix(inner, "]"))
		}
	}
	required := pattern[:len(pattern)-len(optional)]
	if len(words) < len(required) {
		return false
	}
	for i, p := range required {
		if !matches(p, words[i]) {
			return false
		}
	}
	for _, word := range words[len(required):] {
		i := slices.IndexFunc(optional, func(p string) bool { return matches(p, word) })
		if i < 0 {
			return false
		}
		optional = slices.Delete(optional, i, i+1)
	}
	return true
}

// matches reports whether a word is one of the alternatives of a pattern.
func matches(pattern, word string) bool {
	if key, value, ok := strings.Cut(pattern, "="); ok {
		have, rest, ok := strings.Cut(word, "=")
		return ok && have == key && matches(value, rest)
	}
	for one := range strings.SplitSeq(pattern, "|") {
		kind := kinds[one]
		if one == word || kind != nil && kind.MatchString(word) && (one != "MODE" || isMode(word)) {
			return kind != nil || one == word
		}
	}
	return false
}

func isMode(word string) bool {
	for part := range strings.SplitSeq(word, ",") {
		if !slices.Contains(modeWords, part) {
			return false
		}
	}
	return true
}
