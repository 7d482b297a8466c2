package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// value returns n bytes that are the same in every run, none of which recurs.
func value(n int, seed byte) []byte {
	v := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(v)
	return v
}

func writeFile(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// runDir makes a run folder with the values recorded and one log file.
func runDir(t *testing.T, log []byte, values ...[]byte) string {
	t.Helper()
	dir := t.TempDir()
	var lines strings.Builder
	for _, v := range values {
		fmt.Fprintf(&lines, "%x\n", v)
	}
	writeFile(t, dir, "secrets/1.txt", []byte(lines.String()))
	writeFile(t, dir, "logs/1.log", log)
	return dir
}

func scan(dir string) (code int, output string) {
	var out bytes.Buffer
	code = run(dir, &out, &out)
	return code, out.String()
}

// joined prints each byte with verb and puts sep between them.
func joined(v []byte, verb, sep string) string {
	parts := make([]string, len(v))
	for i, b := range v {
		parts[i] = fmt.Sprintf(verb, b)
	}
	return strings.Join(parts, sep)
}

// wrap breaks s into lines of n characters.
func wrap(s string, n int) string {
	var lines []string
	for len(s) > n {
		lines, s = append(lines, s[:n]), s[n:]
	}
	return strings.Join(append(lines, s), "\n")
}

// opensslDump imitates the dump of the openssl command.
func opensslDump(v []byte) string {
	var b strings.Builder
	for i := 0; i < len(v); i += 16 {
		row := v[i:min(i+16, len(v))]
		cols := joined(row, "%02x", " ")
		if len(row) > 8 {
			cols = joined(row[:8], "%02x", " ") + "-" + joined(row[8:], "%02x", " ")
		}
		fmt.Fprintf(&b, "    %04x - %-47s   %s\n", i, cols, strings.Repeat(".", len(row)))
	}
	return b.String()
}

// xxd imitates the dump of the command of that name.
func xxd(v []byte) string {
	var b strings.Builder
	for i := 0; i < len(v); i += 16 {
		row := v[i:min(i+16, len(v))]
		var cols []string
		for j := 0; j < len(row); j += 2 {
			cols = append(cols, fmt.Sprintf("%x", row[j:min(j+2, len(row))]))
		}
		fmt.Fprintf(&b, "%08x: %-39s  %s\n", i, strings.Join(cols, " "), strings.Repeat(".", len(row)))
	}
	return b.String()
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestForms plants a value in each form and looks for it.
func TestForms(t *testing.T) {
	for _, n := range []int{8, 16, 17, 32, 33, 48} {
		v := value(n, byte(n))
		std := base64.StdEncoding.EncodeToString(v)
		for name, text := range map[string]string{
			"raw":                  string(v),
			"hex lower":            hex.EncodeToString(v),
			"hex upper":            strings.ToUpper(hex.EncodeToString(v)),
			"hex in a log line":    "time=1 id=" + hex.EncodeToString(v) + " n=4",
			"hex after a digit":    "id=5" + hex.EncodeToString(v) + "7",
			"hex, colons":          joined(v, "%02x", ":"),
			"hex, colons, upper":   joined(v, "%02X", ":"),
			"hex, spaces":          joined(v, "%02x", " "),
			"hex, spaces, upper":   joined(v, "%02X", " "),
			"hex, line ends":       wrap(joined(v, "%02x", ":"), 45),
			"%#v":                  fmt.Sprintf("%#v", v),
			"% #x":                 fmt.Sprintf("% #x", v),
			"\\x escapes":          "\"\\x" + joined(v, "%02x", "\\x") + "\"",
			"hex.Dump":             hex.Dump(v),
			"hex.Dump, indented":   "    " + strings.ReplaceAll(hex.Dump(v), "\n", "\n    "),
			"hex.Dump, not first":  hex.Dump(append([]byte("Session:"), v...)),
			"openssl dump":         opensslDump(v),
			"xxd":                  xxd(v),
			"base64 std":           std,
			"base64 raw std":       base64.RawStdEncoding.EncodeToString(v),
			"base64 url":           base64.URLEncoding.EncodeToString(v),
			"base64 raw url":       base64.RawURLEncoding.EncodeToString(v),
			"base64 after text":    "ticket/" + std,
			"base64, one before":   base64.StdEncoding.EncodeToString(append([]byte("a"), append(v, "z"...)...)),
			"base64, two before":   base64.StdEncoding.EncodeToString(append([]byte("ab"), append(v, "yz"...)...)),
			"base64, three before": base64.StdEncoding.EncodeToString(append([]byte("abc"), append(v, "xyz"...)...)),
			"base64, lines":        wrap(std, 20),
			"base64, \\n":          strings.ReplaceAll(wrap(std, 20), "\n", `\n`),
			"json []byte":          mustJSON(t, map[string][]byte{"id": v}),
			"%v":                   fmt.Sprint(v),
			"%v in a log line":     fmt.Sprintf("time=1 id=%v n=4", v),
			"%v among others":      fmt.Sprint(append([]byte{1, 2, 3}, append(v, 4)...)),
			"json numbers":         "[" + joined(v, "%d", ",") + "]",
			"%q in a log line":     fmt.Sprintf("time=1 id=%q n=4", v),
			"%q":                   fmt.Sprintf("%q", v),
			"%+q":                  fmt.Sprintf("%+q", v),
			"octal escapes":        "\\" + joined(v, "%03o", "\\"),
		} {
			t.Run(fmt.Sprintf("%s of %d", name, n), func(t *testing.T) {
				log := "line one\nmsg:\n" + text + "\nlast line\n"
				code, out := scan(runDir(t, []byte(log), v, value(32, 200)))
				if code != 1 || !strings.Contains(out, "1.log:") {
					t.Errorf("not found in %q: exit %d, %q", text, code, out)
				}
				for _, shown := range []string{string(v), hex.EncodeToString(v), std} {
					if strings.Contains(out, shown) {
						t.Errorf("the report shows the value: %q", out)
					}
				}
			})
		}
	}
}

// TestEscapes plants values that are text, with every short escape.
func TestEscapes(t *testing.T) {
	v := "né<w>\t\"\\\r\n'\U0001f512"
	controls := "\a\b\f\n\r\t\v\\\"0"
	for _, text := range []string{mustJSON(t, v), fmt.Sprintf("%q", v), fmt.Sprintf("%+q", v), fmt.Sprintf("%q", controls)} {
		if code, out := scan(runDir(t, []byte(text), []byte(v), []byte(controls))); code != 1 {
			t.Errorf("not found in %s: exit %d, %q", text, code, out)
		}
	}
}

// TestLeadingZeros holds that nothing stands for zeros which are not there.
func TestLeadingZeros(t *testing.T) {
	v := append(make([]byte, 8), value(8, 1)...)
	for _, text := range []string{"%x", "|%x", "|0000%x", "%v", "%q"} {
		if code, out := scan(runDir(t, fmt.Appendf(nil, text, v[8:]), v)); code != 0 {
			t.Errorf("%s: exit %d, %q", text, code, out)
		}
	}
}

func TestLineNumber(t *testing.T) {
	v := value(32, 1)
	log := strings.Repeat("nothing here\n", 41) + hex.EncodeToString(v) + "\n" + hex.EncodeToString(v)
	_, out := scan(runDir(t, []byte(log), v))
	if !strings.Contains(out, "1.log:42: ") || !strings.Contains(out, "1.log:43: ") || !strings.Contains(out, " 2 finds") {
		t.Errorf("want lines 42 and 43, got %q", out)
	}
}

func TestFileName(t *testing.T) {
	v := value(16, 1)
	dir := runDir(t, []byte("log\n"), v)
	writeFile(t, dir, "sessions/"+hex.EncodeToString(v)+".bin", append([]byte("x"), v...))
	code, out := scan(dir)
	if code != 1 || !strings.Contains(out, "in the name of a file") || strings.Contains(out, hex.EncodeToString(v)) {
		t.Errorf("exit %d, %q", code, out)
	}
}

// TestNotFound holds what is near a value and is none.
func TestNotFound(t *testing.T) {
	v := value(32, 1)
	flipped := bytes.Clone(v)
	flipped[31] ^= 1
	for name, text := range map[string]string{
		"last bit":       fmt.Sprintf("%x %q %v\n%s\n%s", flipped, flipped, flipped, base64.StdEncoding.EncodeToString(flipped), hex.Dump(flipped)),
		"cut short":      fmt.Sprintf("%x\n%v\n%s.", v[:31], v[:31], base64.RawStdEncoding.EncodeToString(v[:31])),
		"broken in two":  fmt.Sprintf("%x|%x", v[:15], v[15:]),
		"broken at once": fmt.Sprintf("%x|%x", v[:4], v[4:]),
		"another secret": fmt.Sprintf("%x", value(32, 2)),
	} {
		code, out := scan(runDir(t, []byte(text), v))
		if code != 0 || !strings.Contains(out, "searched 1 values in 1 files, ") {
			t.Errorf("%s: exit %d, %q", name, code, out)
		}
	}
}

func TestSameHead(t *testing.T) {
	a, b := value(32, 1), value(32, 1)
	b[9] ^= 1
	for _, planted := range [][]byte{a, b} {
		if code, out := scan(runDir(t, fmt.Appendf(nil, "%x", planted), a, b, a)); code != 1 || !strings.Contains(out, " 1 finds") {
			t.Errorf("exit %d, %q", code, out)
		}
	}
}

// TestNothingToDo holds that a search which could find nothing fails.
func TestNothingToDo(t *testing.T) {
	v := value(32, 1)
	for _, test := range []struct {
		name, want string
		make       func(t *testing.T) string
	}{
		{"no secrets folder", "no value is recorded", func(t *testing.T) string {
			dir := t.TempDir()
			writeFile(t, dir, "logs/1.log", []byte("log\n"))
			return dir
		}},
		{"no values", "no value is recorded", func(t *testing.T) string { return runDir(t, []byte("log\n")) }},
		{"no files", "nothing to search", func(t *testing.T) string {
			dir := t.TempDir()
			writeFile(t, dir, "secrets/1.txt", fmt.Appendf(nil, "%x\n", v))
			return dir
		}},
		{"only empty files", "nothing to search", func(t *testing.T) string { return runDir(t, nil, v) }},
		{"a short value", "1.txt:2: not a hexadecimal value", func(t *testing.T) string { return runDir(t, []byte("log\n"), v, v[:7]) }},
		{"not hexadecimal", "2.txt:1: not a hexadecimal value", func(t *testing.T) string {
			dir := runDir(t, []byte("log\n"), v)
			writeFile(t, dir, "secrets/2.txt", []byte("wxyz0123456789abcdef\n"))
			return dir
		}},
		{"no such folder", "no value is recorded", func(t *testing.T) string { return filepath.Join(t.TempDir(), "absent") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			if code, out := scan(test.make(t)); code != 1 || !strings.Contains(out, test.want) {
				t.Errorf("exit %d, %q, want 1 and %q", code, out, test.want)
			}
		})
	}
}

func BenchmarkSearch(b *testing.B) {
	values := make([][]byte, 200_000)
	rng := rand.NewChaCha8([32]byte{1})
	for i := range values {
		values[i] = make([]byte, 32)
		rng.Read(values[i])
	}
	x := newIndex(values)
	var log bytes.Buffer
	for i := 0; log.Len() < 10<<20; i++ {
		fmt.Fprintf(&log, "time=2026-01-02T03:04:05.678Z level=DEBUG msg=\"not resumed\" reason=absent ref=%x port=%d\n", i*7919, i)
	}
	b.SetBytes(int64(log.Len()))
	for b.Loop() {
		if hits := search(log.Bytes(), x); len(hits) > 0 {
			b.Fatal(hits)
		}
	}
}
