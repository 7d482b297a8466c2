package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// A Recording is what a runner printed: for each command, in order, its output.
type Recording []Entry

// An Entry is one command and its output.
type Entry struct {
	Command string
	Output  []string
}

const commandMark = "> "

// ParseRecording reads lines as a runner prints them: "> " and a command, then its output.
func ParseRecording(text string) (Recording, error) {
	var r Recording
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if command, ok := strings.CutPrefix(line, commandMark); ok {
			r = append(r, Entry{Command: command})
		} else if len(r) > 0 {
			last := &r[len(r)-1]
			last.Output = append(last.Output, line)
		} else {
			return nil, fmt.Errorf("the output %q belongs to no command", line)
		}
	}
	return r, nil
}

func (r Recording) String() string {
	var b strings.Builder
	for _, e := range r {
		b.WriteString(commandMark + e.Command + "\n")
		for _, line := range e.Output {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// A File is the recordings of one scenario, by protocol.
type File map[string]Recording

const protocolMark = "# "

// ParseFile reads the recordings of a scenario.
func ParseFile(text string) (File, error) {
	f := make(File)
	for i, section := range strings.Split("\n"+text, "\n"+protocolMark) {
		protocol, body, _ := strings.Cut(section, "\n")
		if i == 0 {
			continue
		}
		r, err := ParseRecording(strings.TrimRight(body, "\n") + "\n")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", protocol, err)
		}
		f[protocol] = r
	}
	return f, nil
}

func (f File) String() string {
	var b strings.Builder
	for _, protocol := range Protocols {
		if r, ok := f[protocol]; ok {
			b.WriteString(protocolMark + protocol + "\n" + r.String())
		}
	}
	return b.String()
}

// matches reports whether a variant is one that the difference speaks of.
func (d Difference) matches(variant []string) bool {
	for _, words := range d.Where {
		all := true
		for _, word := range words {
			all = all && slices.Contains(variant, word)
		}
		if all {
			return true
		}
	}
	return d.Where == nil
}

// A Verdict says how one output compares with libssl's.
type Verdict int

// The verdicts.
const (
	Same Verdict = iota
	Different
	Unexplained
)

// Judge compares the output of a Cache with the one of libssl. The variant names the
// protocol, door and engine. used is the index of the difference that explains the
// output, or -1. problem says what is wrong if the verdict is Unexplained.
func (s Step) Judge(variant, libssl, cache []string) (verdict Verdict, used int, problem string) {
	for i, d := range s.Differences {
		if !d.matches(variant) {
			continue
		}
		switch {
		case slices.Equal(cache, libssl):
			return Unexplained, i, fmt.Sprintf("line %d explains a difference, and there is none", d.Line)
		case !slices.Equal(cache, d.Output):
			return Unexplained, i, fmt.Sprintf("differs from line %d:\n%s", d.Line, sideBySide("expected", d.Output, cache))
		}
		return Different, i, ""
	}
	if !slices.Equal(cache, libssl) {
		return Unexplained, -1, sideBySide("libssl", libssl, cache)
	}
	return Same, -1, ""
}

func sideBySide(whose string, want, got []string) string {
	const indent = "\n        "
	return "    " + whose + ":" + indent + strings.Join(want, indent) + "\n    Cache:" + indent + strings.Join(got, indent)
}
