package halfshake_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The rules of docs/design.md about what may depend on what, and of the style
// about sizes. Each failure says what to do.

const (
	modulePath = "github.com/halfshake/halfshake"

	maxMainLines = 60
	maxFileLines = 600
)

// goJSON runs the go command and decodes each JSON object that it prints.
func goJSON[T any](t *testing.T, args ...string) []T {
	t.Helper()
	cmd := exec.Command("go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	var all []T
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var one T
		err := dec.Decode(&one)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("go %s: %v", strings.Join(args, " "), err)
		}
		all = append(all, one)
	}
}

type goPackage struct {
	ImportPath string
	Standard   bool
	Imports    []string
}

// linked returns the packages that a program with pkg in it links.
func linked(t *testing.T, pkg string) []goPackage {
	t.Helper()
	deps := goJSON[goPackage](t, "list", "-deps", "-json=ImportPath,Standard,Imports", pkg)
	if len(deps) < 2 {
		t.Fatalf("go list -deps %s names %d packages: this test sees nothing", pkg, len(deps))
	}
	return deps
}

// importers says which of the packages import target, for a failure's message.
func importers(deps []goPackage, target string) (by []string) {
	for _, d := range deps {
		if slices.Contains(d.Imports, target) {
			by = append(by, d.ImportPath)
		}
	}
	return by
}

func inTree(root, importPath string) bool {
	return importPath == root || strings.HasPrefix(importPath, root+"/")
}

type goMod struct {
	Require []struct {
		Path, Version string
		Indirect      bool
	}
}

func TestRootRequiresOnlyXCrypto(t *testing.T) {
	mod := goJSON[goMod](t, "mod", "edit", "-json", "go.mod")[0]
	if len(mod.Require) == 0 {
		t.Fatal("go.mod requires nothing: either this test misreads it, or the rule can be made stricter")
	}
	for _, r := range mod.Require {
		// x/crypto's ChaCha20 needs x/sys to know the processor.
		if r.Path == "golang.org/x/crypto" || r.Path == "golang.org/x/sys" && r.Indirect {
			continue
		}
		t.Errorf("go.mod requires %s %s: the root module requires golang.org/x/crypto and nothing else; put the code that needs it into a module of its own, below stores/, cmd/, interop/ or bench/", r.Path, r.Version)
	}
}

// TestRootLinksLittle holds that a program which imports the root package links
// the standard library without net/http, golang.org/x/crypto, and this module.
func TestRootLinksLittle(t *testing.T) {
	deps := linked(t, modulePath)
	ours := func(importPath string) bool { return inTree(modulePath, importPath) }
	for _, d := range deps {
		var mend string
		switch {
		case inTree("net/http", d.ImportPath):
			mend = "keep HTTP to cmd/halfshake"
		case d.ImportPath == "testing" || inTree("testing", d.ImportPath):
			mend = "move the helper into a file that ends in _test.go"
		case inTree(modulePath+"/external", d.ImportPath):
			mend = "the root knows an external cache only as its Callbacks"
		case d.Standard || inTree(modulePath, d.ImportPath) || inTree("golang.org/x/crypto", d.ImportPath):
			continue
		case d.ImportPath == "golang.org/x/sys/cpu" && !slices.ContainsFunc(importers(deps, d.ImportPath), ours):
			continue // x/crypto's ChaCha20 asks it for the processor's features
		default:
			mend = "a third-party dependency stands behind a module boundary"
		}
		t.Errorf("the root package links %s, through %v: %s", d.ImportPath, importers(deps, d.ImportPath), mend)
	}
}

// TestIndependentPackages holds that the packages which stand alone do.
func TestIndependentPackages(t *testing.T) {
	for _, name := range []string{"tls12", "sslsession"} {
		t.Run(name, func(t *testing.T) {
			deps := linked(t, modulePath+"/"+name)
			for _, d := range deps {
				if d.ImportPath == modulePath {
					t.Errorf("%s imports the root package, through %v: hand it what it needs through an interface of its own", name, importers(deps, modulePath))
				}
			}
		})
	}
}

// A source is a file of the tree, with a slash-separated path from its top.
type source struct {
	path string
	data []byte
}

// sources returns the tree's files but those of version control and testdata.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata" || d.Name() == "node_modules" || name == "bin"):
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(name)
		if err == nil {
			all = append(all, source{filepath.ToSlash(name), data})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("%d files in the tree: this test sees nothing", len(all))
	}
	return all
}

func (s source) isGo() bool   { return strings.HasSuffix(s.path, ".go") }
func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// TestOneDoorToSessionState holds that what crypto/tls keeps of a session is
// handled in few places. The modules that are never released may compare with
// crypto/tls directly.
func TestOneDoorToSessionState(t *testing.T) {
	allowed := func(file string) bool {
		return file == "cryptotls.go" || file == "serverconfig.go" || strings.HasPrefix(file, "internal/sessionstate/") ||
			strings.HasPrefix(file, "bench/") || strings.HasPrefix(file, "interop/")
	}
	seen := 0
	for _, s := range sources(t) {
		if !s.isGo() || s.isTest() {
			continue
		}
		uses := sessionStateUses(t, s)
		seen += len(uses)
		if len(uses) > 0 && !allowed(s.path) {
			t.Errorf("%s names crypto/tls's session state: only cryptotls.go, serverconfig.go and internal/sessionstate do; pass its bytes, or a type of internal/sessionstate", uses[0])
		}
	}
	if seen == 0 {
		t.Error("nothing names crypto/tls's session state: this test sees nothing")
	}
}

// sessionStateUses returns the positions where s names tls.SessionState or
// tls.ParseSessionState, under whatever name it imports crypto/tls.
func sessionStateUses(t *testing.T, s source) (at []string) {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, s.path, s.data, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	tls := ""
	for _, imp := range file.Imports {
		if imp.Path.Value == `"crypto/tls"` {
			tls = "tls"
			if imp.Name != nil {
				tls = imp.Name.Name
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		name, ok := n.(*ast.SelectorExpr)
		if !ok || name.Sel.Name != "SessionState" && name.Sel.Name != "ParseSessionState" {
			return true
		}
		if pkg, ok := name.X.(*ast.Ident); ok && pkg.Name == tls {
			at = append(at, fset.Position(name.Pos()).String())
		}
		return true
	})
	if tls == "." {
		t.Errorf("%s imports crypto/tls with a dot: import it by name", s.path)
	}
	return at
}

func TestFilesAreShort(t *testing.T) {
	for _, s := range sources(t) {
		if !s.isGo() || s.isTest() {
			continue
		}
		lines := bytes.Count(s.data, []byte("\n"))
		if lines > maxFileLines {
			t.Errorf("%s has %d lines, more than %d: it holds more than one idea; split it by idea", s.path, lines, maxFileLines)
		}
		if path.Base(s.path) == "main.go" && lines > maxMainLines {
			t.Errorf("%s has %d lines, more than %d: main reads the arguments and calls; move the rest to files named for what they do", s.path, lines, maxMainLines)
		}
	}
}

func TestNothingLeftToDo(t *testing.T) {
	// Spelled so that this file passes.
	mark := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)
	for _, s := range sources(t) {
		for i, line := range bytes.Split(s.data, []byte("\n")) {
			if m := mark.Find(line); m != nil {
				t.Errorf("%s:%d: %s: do it, or say in the text what does not work", s.path, i+1, m)
			}
		}
	}
}

// TestDependenciesAreExplained holds that docs/dependencies.md names each direct
// dependency of each module, and each pinned tool, at the version in use.
func TestDependenciesAreExplained(t *testing.T) {
	doc, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	explained := func(file, dep, version string) {
		t.Helper()
		if !regexp.MustCompile(regexp.QuoteMeta(dep) + `\S* ` + regexp.QuoteMeta(version) + `\b`).Match(doc) {
			t.Errorf("%s has %s %s, of which docs/dependencies.md does not have %q with the reason for it", file, dep, version, dep+" "+version)
		}
	}
	mods := 0
	for _, s := range sources(t) {
		if path.Base(s.path) != "go.mod" {
			continue
		}
		mods++
		for _, r := range goJSON[goMod](t, "mod", "edit", "-json", s.path)[0].Require {
			if !r.Indirect && !inTree(modulePath, r.Path) {
				explained(s.path, r.Path, r.Version)
			}
		}
	}
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	tools := regexp.MustCompile(`(?m)^export \w+ := (\S+)/cmd/\w+@(\S+)$`).FindAllSubmatch(makefile, -1)
	for _, tool := range tools {
		explained("Makefile", string(tool[1]), string(tool[2]))
	}
	if mods == 0 || len(tools) != 2 {
		t.Errorf("found %d go.mod files and %d tools: this test sees too little", mods, len(tools))
	}
}

// TestOpenSSLTables holds that docs/openssl.md has an answer for each row of libssl's
// behaviour and for each function of manualPages, and leaves no cell out or empty.
func TestOpenSSLTables(t *testing.T) {
	const rows = 171
	want := strings.Fields(manualPages)
	for n := 1; n <= rows; n++ {
		want = append(want, strconv.Itoa(n))
	}
	doc, err := os.ReadFile("docs/openssl.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]int) // first cells
	width := 0                   // of the table that the line is in
	for i, line := range strings.Split(string(doc), "\n") {
		if !strings.HasPrefix(line, "|") {
			width = 0
			continue
		}
		where := fmt.Sprintf("docs/openssl.md:%d", i+1)
		cells := tableCells(line)
		if width == 0 {
			width = len(cells)
		}
		if len(cells) != width || slices.Contains(cells, "") {
			t.Errorf("%s: want %d cells, none of them empty, and a | after each", where, width)
			continue
		}
		seen[cells[0]]++
		if names := functionName.FindAllString(cells[0], -1); !slices.Equal(names, cells[:1]) {
			for _, name := range names {
				seen[name]++
			}
		}
		checkRow(t, where, cells)
	}
	for _, cell := range want {
		if got := seen[cell]; got != 1 {
			t.Errorf("docs/openssl.md has %d rows for %s, want 1", got, cell)
		}
	}
}

// TestDocsNameTests holds that the documents name only tests that exist.
func TestDocsNameTests(t *testing.T) {
	tests, named := testNames(t), 0
	for _, s := range sources(t) {
		if path.Ext(s.path) != ".md" {
			continue
		}
		for i, line := range strings.Split(string(s.data), "\n") {
			for _, name := range testName.FindAllString(line, -1) {
				named++
				if !tests[name] {
					t.Errorf("%s:%d names %s, which does not exist; name the test that holds this now, or take it out", s.path, i+1, name)
				}
			}
		}
	}
	if named < 100 {
		t.Errorf("the documents name %d tests: this test sees too little", named)
	}
}

var testName = regexp.MustCompile(`\b(Test|Fuzz)[A-Z]\w+`)

var functionName = regexp.MustCompile(`\b(SSL|PEM|d2i|i2d)_\w+`)

// scenarioNames finds the scenarios that a row names, at its end.
var scenarioNames = regexp.MustCompile(`\[([a-z0-9-]+(?:, [a-z0-9-]+)*)\]$`)

// checkRow checks a row that has a number: its answer, and that what it names exists.
// TestDocsNameTests checks the tests, and internal/conformance runs every scenario.
func checkRow(t *testing.T, where string, cells []string) {
	t.Helper()
	answers := []string{"same", "different", "n.a."}
	if _, err := strconv.Atoi(cells[0]); err != nil {
		return
	}
	if !slices.Contains(answers, cells[1]) {
		t.Errorf("%s: row %s says %q; write one of %q", where, cells[0], cells[1], answers)
	}
	scenarios := scenarioNames.FindStringSubmatch(cells[2])
	if cells[1] != "n.a." && scenarios == nil && !testName.MatchString(cells[2]) {
		t.Errorf("%s: row %s names no test and no scenario", where, cells[0])
	}
	if scenarios == nil {
		return
	}
	for _, name := range strings.Split(scenarios[1], ", ") {
		if _, err := os.Stat("internal/conformance/testdata/scenarios/" + name + ".txt"); err != nil {
			t.Errorf("%s: row %s names the scenario %s, which does not exist", where, cells[0], name)
		}
	}
}

// manualPages lists the functions and flags of the manual pages of OpenSSL's sessions, with
// the synonyms of their older versions, and what else of <openssl/ssl.h> is about sessions.
const manualPages = `
	SSL_CTX_sess_set_new_cb SSL_CTX_sess_set_remove_cb SSL_CTX_sess_set_get_cb
	SSL_CTX_sess_get_new_cb SSL_CTX_sess_get_remove_cb SSL_CTX_sess_get_get_cb
	SSL_CTX_add_session SSL_CTX_remove_session SSL_add_session SSL_remove_session
	SSL_CTX_set_session_cache_mode SSL_CTX_get_session_cache_mode
	SSL_SESS_CACHE_OFF SSL_SESS_CACHE_CLIENT SSL_SESS_CACHE_SERVER SSL_SESS_CACHE_BOTH
	SSL_SESS_CACHE_NO_AUTO_CLEAR SSL_SESS_CACHE_NO_INTERNAL_LOOKUP
	SSL_SESS_CACHE_NO_INTERNAL_STORE SSL_SESS_CACHE_NO_INTERNAL SSL_SESS_CACHE_UPDATE_TIME
	SSL_CTX_flush_sessions SSL_CTX_flush_sessions_ex SSL_flush_sessions
	SSL_CTX_sess_number SSL_CTX_sess_connect SSL_CTX_sess_connect_good SSL_CTX_sess_connect_renegotiate
	SSL_CTX_sess_accept SSL_CTX_sess_accept_good SSL_CTX_sess_accept_renegotiate SSL_CTX_sess_hits
	SSL_CTX_sess_cb_hits SSL_CTX_sess_misses SSL_CTX_sess_timeouts SSL_CTX_sess_cache_full
	SSL_CTX_sess_set_cache_size SSL_CTX_sess_get_cache_size SSL_CTX_sessions
	SSL_CTX_set_timeout SSL_CTX_get_timeout
	SSL_CTX_set_session_id_context SSL_set_session_id_context
	SSL_CTX_set_generate_session_id SSL_set_generate_session_id SSL_has_matching_session_id
	SSL_set_session SSL_session_reused SSL_get_session SSL_get0_session SSL_get1_session SSL_copy_session_id
	SSL_SESSION_new SSL_SESSION_dup SSL_SESSION_up_ref SSL_SESSION_free
	SSL_SESSION_get_id SSL_SESSION_set1_id SSL_SESSION_get0_id_context SSL_SESSION_set1_id_context
	SSL_SESSION_get_time SSL_SESSION_get_time_ex SSL_SESSION_set_time SSL_SESSION_set_time_ex
	SSL_SESSION_get_timeout SSL_SESSION_set_timeout SSL_get_time SSL_set_time SSL_get_timeout SSL_set_timeout
	SSL_SESSION_get_protocol_version SSL_SESSION_set_protocol_version SSL_SESSION_get0_cipher SSL_SESSION_set_cipher
	SSL_SESSION_get0_hostname SSL_SESSION_set1_hostname SSL_SESSION_get0_alpn_selected SSL_SESSION_set1_alpn_selected
	SSL_SESSION_get0_peer SSL_SESSION_get0_peer_rpk SSL_SESSION_get_compress_id
	SSL_SESSION_get_master_key SSL_SESSION_set1_master_key SSL_SESSION_is_resumable
	SSL_SESSION_has_ticket SSL_SESSION_get0_ticket SSL_SESSION_get_ticket_lifetime_hint
	SSL_SESSION_get_max_early_data SSL_SESSION_set_max_early_data SSL_SESSION_get_max_fragment_length
	SSL_SESSION_get0_ticket_appdata SSL_SESSION_set1_ticket_appdata
	SSL_SESSION_get_ex_data SSL_SESSION_set_ex_data SSL_SESSION_get_ex_new_index
	SSL_SESSION_get_app_data SSL_SESSION_set_app_data
	SSL_SESSION_print SSL_SESSION_print_fp SSL_SESSION_print_keylog
	d2i_SSL_SESSION d2i_SSL_SESSION_ex i2d_SSL_SESSION
	PEM_read_SSL_SESSION PEM_read_bio_SSL_SESSION PEM_write_SSL_SESSION PEM_write_bio_SSL_SESSION
	SSL_CTX_set_num_tickets SSL_set_num_tickets SSL_CTX_get_num_tickets SSL_get_num_tickets SSL_new_session_ticket
	SSL_CTX_set_not_resumable_session_callback SSL_set_not_resumable_session_callback SSL_client_hello_get0_session_id
	SSL_CTX_set_session_ticket_cb SSL_set_session_ticket_ext SSL_set_session_ticket_ext_cb SSL_set_session_secret_cb
	SSL_CTX_set_psk_find_session_callback SSL_set_psk_find_session_callback SSL_psk_find_session_cb_func
	SSL_CTX_set_psk_use_session_callback SSL_set_psk_use_session_callback SSL_psk_use_session_cb_func`

// tableCells returns what stands before each | but the first.
func tableCells(line string) (cells []string) {
	for rest := strings.TrimPrefix(line, "|"); ; {
		cell, after, ok := strings.Cut(rest, "|")
		if !ok {
			return cells
		}
		cells, rest = append(cells, strings.TrimSpace(cell)), after
	}
}

// testNames returns the names of the test functions of the tree.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	for _, s := range sources(t) {
		if !s.isTest() {
			continue
		}
		for _, m := range declaration.FindAllSubmatch(s.data, -1) {
			names[string(m[1])] = true
		}
	}
	return names
}
