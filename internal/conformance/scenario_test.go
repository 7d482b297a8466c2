package conformance

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const goodScenario = `# A client connects and resumes.
rows: 24 101
protocols: tls1.2
doors: Server NewListener
unclean-close: removes

on new keep then list
# A comment among the commands.
connect alice close=abrupt keep
    differs in tls12 Server, crypto/tls: It is a difference on purpose.
        | new s1 number=1
        |   > list
        | full s1
    differs: Another one, with no output at all.
mode server,no-internal
`

func TestParse(t *testing.T) {
	s, err := Parse("good.txt", []byte(goodScenario))
	if err != nil {
		t.Fatal(err)
	}
	want := &Scenario{
		Name: "good", Title: "A client connects and resumes.", Rows: []int{24, 101}, Protocols: []string{TLS12},
		Doors: []string{"Server", "NewListener"}, Engines: Engines, UncleanCloseRemoves: true,
		Steps: []Step{
			{Line: 7, Words: strings.Fields("on new keep then list")},
			{Line: 9, Words: strings.Fields("connect alice close=abrupt keep"), Differences: []Difference{
				{Line: 10, Where: [][]string{{"tls12", "Server"}, {"crypto/tls"}}, Why: "It is a difference on purpose.",
					Output: []string{"new s1 number=1", "  > list", "full s1"}},
				{Line: 14, Why: "Another one, with no output at all."},
			}},
			{Line: 15, Words: strings.Fields("mode server,no-internal")},
		},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("parsed:\n%+v\nwant:\n%+v", s, want)
	}
}

// An error names the file and the line, and says what is wanted.
func TestParseErrors(t *testing.T) {
	const title = "# A title that is a sentence.\n"
	for _, test := range []struct{ text, want string }{
		{"", "x.txt:1: want a comment at the top"},
		{"list\n", "x.txt:1: want a comment that says"},
		{"# Too short.\nlist\n", "x.txt:3: want a comment at the top"},
		{"# A title without an end\nlist\n", "x.txt:3: want a comment at the top"},
		{title, "x.txt:2: the scenario has no commands"},
		{title + "\tlist\n", "x.txt:2: want at most 500 bytes"},
		{title + "list" + strings.Repeat(" ", 500), "x.txt:2: want at most 500 bytes"},
		{title + "list \xff\n", "x.txt:2: want at most 500 bytes of UTF-8"},
		{title + "rows: x\n", `x.txt:2: rows: "x" is not the number of a row`},
		{title + "rows: 1 1\n", `x.txt:2: rows: "1" is not the number of a row, or repeated`},
		{title + "rows: 01\n", `x.txt:2: rows: "01" is not`},
		{title + "rows:\n", `x.txt:2: the header "rows" is empty or repeated`},
		{title + "rows: 1\nrows: 2\n", `x.txt:3: the header "rows" is empty or repeated`},
		{title + "protocols: tls1.1\n", `x.txt:2: protocols: "tls1.1" is unknown`},
		{title + "doors: Server Server\n", `x.txt:2: doors: "Server" is unknown or repeated`},
		{title + "engine: tls12\n", `x.txt:2: there is no header "engine"`},
		{title + "list\nrows: 1\n", `x.txt:3: there is no command "rows:"`},
		{title + "lists\n", `x.txt:2: there is no command "lists"`},
		{title + "list s1\n", `x.txt:2: "list s1" is none of: list`},
		{title + "add\n", `x.txt:2: "add" is none of: add blank|SESSION; add copy SESSION`},
		{title + "add s0\n", `x.txt:2: "add s0" is none of`},
		{title + "connect alice keep keep\n", "x.txt:2: \"connect alice keep keep\" is none of"},
		{title + "connect alice close=never\n", "close=never\" is none of"},
		{title + "mode servers\n", "x.txt:2: \"mode servers\" is none of"},
		{title + "connect alice then list\n", "x.txt:2: only the command on takes a then"},
		{title + "on new keep then nothing\n", "x.txt:2: there is no command \"nothing\""},
		{title + "on new keep then on get none then list\n", "x.txt:2: a command after then has no then"},
		{title + "    differs: A reason that is long enough.\n", "x.txt:2: a difference stands below a command"},
		{title + "list\n    differs: too short.\n", "x.txt:3: want a sentence that says why"},
		{title + "list\n    differs: a reason in lower case, long enough.\n", "x.txt:3: want a sentence that says why"},
		{title + "list\n    differs in: A reason that is long enough.\n", "x.txt:3: want \"differs: Sentence.\""},
		{title + "list\n    differs in tls1.1: A reason that is long enough.\n", `x.txt:3: "tls1.1" is no protocol, door or engine`},
		{title + "list\n    differs in tls12,: A reason that is long enough.\n", "x.txt:3: an alternative of"},
		{title + "list\n    | cached s1\n", "x.txt:3: a line of output stands below a difference"},
		{title + strings.Repeat("list\n", 401), "x.txt:402: more than 400 commands"},
		{title + strings.Repeat("#\n", 40000), "x.txt:1: the file has"},
	} {
		s, err := Parse("x.txt", []byte(test.text))
		if err == nil || !strings.Contains(err.Error(), test.want) || s != nil {
			t.Errorf("%.60q: %v, want %q", test.text, err, test.want)
		}
	}
}

// TestJudge holds that an unexplained difference fails, and also an explanation that
// explains nothing.
func TestJudge(t *testing.T) {
	where := Difference{Line: 8, Where: [][]string{{TLS13, "Server"}, {"tls12"}}, Output: []string{"full s2"}}
	anywhere := Difference{Line: 9, Output: []string{"full s3"}}
	server13 := []string{TLS13, "Server", "crypto/tls"}
	listener13 := []string{TLS13, "NewListener", "crypto/tls"}
	for _, test := range []struct {
		name          string
		differences   []Difference
		variant       []string
		libssl, cache string
		want          Verdict
		problem       string
	}{
		{"same", nil, server13, "full s1", "full s1", Same, ""},
		{"unexplained", nil, server13, "full s1", "full s2", Unexplained, "libssl:"},
		{"unexplained where another run is explained", []Difference{where}, listener13, "full s1", "full s2", Unexplained, "libssl:"},
		{"explained", []Difference{where}, server13, "full s1", "full s2", Different, ""},
		{"explained by the second", []Difference{where, anywhere}, listener13, "full s1", "full s3", Different, ""},
		{"explained by another alternative", []Difference{where}, []string{TLS12, "Server", "tls12"}, "full s1", "full s2", Different, ""},
		{"differs otherwise", []Difference{where}, server13, "full s1", "full s4", Unexplained, "differs from line 8"},
		{"explains nothing", []Difference{where}, server13, "full s1", "full s1", Unexplained, "line 8 explains a difference, and there is none"},
		{"explains nothing, as it expects", []Difference{where}, server13, "full s2", "full s2", Unexplained, "line 8 explains a difference, and there is none"},
	} {
		step := Step{Words: []string{"connect", "alice"}, Differences: test.differences}
		verdict, _, problem := step.Judge(test.variant, []string{test.libssl}, []string{test.cache})
		if verdict != test.want || !strings.Contains(problem, test.problem) || (problem == "") != (test.want != Unexplained) {
			t.Errorf("%s: %v, %q", test.name, verdict, problem)
		}
	}
}

func TestRecordingsReadWhatTheyWrite(t *testing.T) {
	f := File{
		TLS12: {{"connect alice", []string{"new s1 number=1", "  > list", "full s1"}}, {"list", nil}},
		TLS13: {{"mode", []string{"server"}}},
	}
	got, err := ParseFile(f.String())
	if err != nil || !reflect.DeepEqual(got, f) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := ParseFile("# tls1.2\nfull s1\n"); err == nil {
		t.Error("output without a command was accepted")
	}
}

// FuzzScenario holds that what parses prints as a scenario that parses to the same.
func FuzzScenario(f *testing.F) {
	names, err := filepath.Glob(scenariosDir + "/*.txt")
	if err != nil || len(names) == 0 {
		f.Fatalf("no scenarios: %v", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(goodScenario))
	f.Add([]byte("# A title that is a sentence.\n    | x\nrows: 1\non get copy s1 then store spoil s1 secret=zero\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("fuzz.txt", data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "fuzz.txt:") {
				t.Errorf("the error does not say where: %v", err)
			}
			return
		}
		again, err := Parse("fuzz.txt", []byte(s.String()))
		if err != nil {
			t.Fatalf("%v in\n%s", err, s)
		}
		if again.String() != s.String() || !sameButLines(again, s) {
			t.Errorf("parsed:\n%s\nthen:\n%s", s, again)
		}
	})
}

func sameButLines(a, b *Scenario) bool {
	return reflect.DeepEqual(withoutLines(a), withoutLines(b))
}

func withoutLines(s *Scenario) Scenario {
	copied := *s
	copied.Steps = nil
	for _, step := range s.Steps {
		step.Line = 0
		var differences []Difference
		for _, d := range step.Differences {
			d.Line = 0
			differences = append(differences, d)
		}
		step.Differences = differences
		copied.Steps = append(copied.Steps, step)
	}
	return copied
}
