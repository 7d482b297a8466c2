package conformance

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The protocols that a scenario runs with.
const (
	// TLS12 resumes by session id in libssl. A Cache resumes by session id (package
	// tls12) and by ticket (crypto/tls): a ticket of a Cache names a cached session, as
	// a session id does.
	TLS12 = "tls1.2"
	// TLS12Ticket resumes by the stateless tickets of libssl.
	TLS12Ticket = "tls1.2-ticket"
	// TLS13 resumes by stateful tickets, SSL_OP_NO_TICKET in libssl.
	TLS13 = "tls1.3"
)

// Protocols and Doors are the words of the headers of those names.
var (
	Protocols = []string{TLS12, TLS12Ticket, TLS13}
	Doors     = []string{"ServerConfig", "NewListener", "Server"}
	// Engines serve a connection of a Cache. With tls12, TLS 1.2 clients resume by
	// session id.
	Engines = []string{"crypto/tls", "tls12"}
)

// A Scenario is a parsed file.
type Scenario struct {
	Name, Title string
	Rows        []int    // of the table of libssl's behaviour
	Protocols   []string // default: TLS12 and TLS13
	Doors       []string // default: all
	Engines     []string // default: all
	// UncleanCloseRemoves says that the Cache has UncleanCloseRemove, which is what
	// libssl always does.
	UncleanCloseRemoves bool
	Steps               []Step
}

// A Step is one command, and where a Cache differs on purpose.
type Step struct {
	Line        int
	Words       []string
	Differences []Difference
}

// A Difference says what a Cache prints instead of what libssl prints.
type Difference struct {
	Line   int
	Where  [][]string // alternatives, each a list of words that all hold; none: everywhere
	Why    string
	Output []string
}

func (s Step) String() string { return strings.Join(s.Words, " ") }

// Bounds of a scenario.
const (
	maxLine     = 500
	maxSteps    = 400
	maxFileSize = 1 << 16
	minSentence = 20
)

// Parse reads a scenario. Its errors begin with name:line.
func Parse(name string, data []byte) (*Scenario, error) {
	p := &parser{scenario: &Scenario{Name: strings.TrimSuffix(name, ".txt")}, headers: make(map[string]bool)}
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("%s:1: the file has %d bytes, at most %d", name, len(data), maxFileSize)
	}
	for i, line := range strings.Split(string(data), "\n") {
		p.line = i + 1
		if err := p.read(line); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, p.line, err)
		}
	}
	if err := p.finish(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", name, p.line, err)
	}
	return p.scenario, nil
}

type parser struct {
	scenario *Scenario
	line     int
	headers  map[string]bool
}

func (p *parser) read(line string) error {
	text := strings.TrimSpace(line)
	switch {
	case len(line) > maxLine || !utf8.ValidString(line) || strings.ContainsFunc(line, unicode.IsControl):
		return fmt.Errorf("want at most %d bytes of UTF-8 without control characters; indent with spaces", maxLine)
	case text == "":
		return nil
	case strings.HasPrefix(line, "#"):
		return p.comment(strings.TrimSpace(line[1:]))
	case p.scenario.Title == "":
		return fmt.Errorf("want a comment that says what the scenario shows")
	case strings.HasPrefix(text, "| ") && line != text:
		return p.output(text[len("| "):])
	case line != text:
		return p.difference(text)
	case len(p.scenario.Steps) == 0 && strings.Contains(strings.Fields(text)[0], ":"):
		return p.header(text)
	}
	return p.command(strings.Fields(text))
}

func (p *parser) comment(text string) error {
	if p.scenario.Title == "" {
		p.scenario.Title = text
	}
	return nil
}

func (p *parser) header(text string) error {
	key, value, _ := strings.Cut(text, ":")
	words := strings.Fields(value)
	if p.headers[key] || len(words) == 0 {
		return fmt.Errorf("the header %q is empty or repeated", key)
	}
	p.headers[key] = true
	var known []string
	switch s := p.scenario; key {
	case "rows":
		return p.rows(words)
	case "protocols":
		known, s.Protocols = Protocols, words
	case "doors":
		known, s.Doors = Doors, words
	case "engines":
		known, s.Engines = Engines, words
	case "unclean-close":
		known, s.UncleanCloseRemoves = []string{"removes"}, true
	default:
		return fmt.Errorf("there is no header %q; write rows, protocols, doors, engines or unclean-close", key)
	}
	for i, word := range words {
		if !slices.Contains(known, word) || slices.Contains(words[:i], word) {
			return fmt.Errorf("%s: %q is unknown or repeated; write some of %q", key, word, known)
		}
	}
	return nil
}

func (p *parser) rows(words []string) error {
	for _, word := range words {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 || slices.Contains(p.scenario.Rows, n) || word != strconv.Itoa(n) {
			return fmt.Errorf("rows: %q is not the number of a row, or repeated", word)
		}
		p.scenario.Rows = append(p.scenario.Rows, n)
	}
	return nil
}

func (p *parser) command(words []string) error {
	if len(p.scenario.Steps) == maxSteps {
		return fmt.Errorf("more than %d commands", maxSteps)
	}
	if err := checkCommand(words); err != nil {
		return err
	}
	p.scenario.Steps = append(p.scenario.Steps, Step{Line: p.line, Words: words})
	return nil
}

// difference reads "differs [in WHERE]: Sentence."
func (p *parser) difference(text string) error {
	head, why, ok := strings.Cut(text, ": ")
	where, in := strings.CutPrefix(head, "differs in ")
	if !ok || !in && head != "differs" {
		return fmt.Errorf("want \"differs: Sentence.\" or \"differs in WHERE: Sentence.\" or a line of output after |")
	}
	if len(p.scenario.Steps) == 0 {
		return fmt.Errorf("a difference stands below a command")
	}
	first, _ := utf8.DecodeRuneInString(why)
	if len(why) < minSentence || unicode.IsLower(first) || !strings.HasSuffix(why, ".") {
		return fmt.Errorf("want a sentence that says why, not %q", why)
	}
	d := Difference{Line: p.line, Why: why}
	if in {
		var err error
		if d.Where, err = parseWhere(where); err != nil {
			return err
		}
	}
	step := &p.scenario.Steps[len(p.scenario.Steps)-1]
	step.Differences = append(step.Differences, d)
	return nil
}

// parseWhere reads alternatives separated by commas.
func parseWhere(text string) (where [][]string, err error) {
	for alternative := range strings.SplitSeq(text, ",") {
		words := strings.Fields(alternative)
		if len(words) == 0 {
			return nil, fmt.Errorf("an alternative of %q is empty", text)
		}
		for _, word := range words {
			if !slices.Contains(slices.Concat(Protocols, Doors, Engines), word) {
				return nil, fmt.Errorf("%q is no protocol, door or engine", word)
			}
		}
		where = append(where, words)
	}
	return where, nil
}

func (p *parser) output(text string) error {
	if n := len(p.scenario.Steps); n > 0 {
		if d := p.scenario.Steps[n-1].Differences; len(d) > 0 {
			d[len(d)-1].Output = append(d[len(d)-1].Output, text)
			return nil
		}
	}
	return fmt.Errorf("a line of output stands below a difference")
}

// finish checks the whole and fills in the defaults.
func (p *parser) finish() error {
	s := p.scenario
	switch {
	case !strings.HasSuffix(s.Title, ".") || len(s.Title) < minSentence:
		return fmt.Errorf("want a comment at the top that says in a sentence what the scenario shows")
	case len(s.Steps) == 0:
		return fmt.Errorf("the scenario has no commands")
	}
	if s.Protocols == nil {
		s.Protocols = []string{TLS12, TLS13}
	}
	if s.Doors == nil {
		s.Doors = Doors
	}
	if s.Engines == nil {
		s.Engines = Engines
	}
	return nil
}

// String returns the scenario in the form that Parse reads, without its comments.
func (s *Scenario) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", s.Title)
	if len(s.Rows) > 0 {
		fmt.Fprintf(&b, "rows: %s\n", strings.Trim(fmt.Sprint(s.Rows), "[]"))
	}
	fmt.Fprintf(&b, "protocols: %s\ndoors: %s\nengines: %s\n", strings.Join(s.Protocols, " "), strings.Join(s.Doors, " "), strings.Join(s.Engines, " "))
	if s.UncleanCloseRemoves {
		b.WriteString("unclean-close: removes\n")
	}
	for _, step := range s.Steps {
		fmt.Fprintln(&b, step)
		for _, d := range step.Differences {
			fmt.Fprintf(&b, "    differs%s: %s\n", d.where(), d.Why)
			for _, line := range d.Output {
				fmt.Fprintf(&b, "        | %s\n", line)
			}
		}
	}
	return b.String()
}

func (d Difference) where() string {
	var alternatives []string
	for _, words := range d.Where {
		alternatives = append(alternatives, strings.Join(words, " "))
	}
	if alternatives == nil {
		return ""
	}
	return " in " + strings.Join(alternatives, ", ")
}
