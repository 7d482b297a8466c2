package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	testscript.Main(withoutLeaks{m}, map[string]func(){"halfshake": main})
}

// withoutLeaks fails a run that leaves a goroutine behind.
type withoutLeaks struct{ m *testing.M }

func (w withoutLeaks) Run() int {
	status := w.m.Run()
	if err := goleak.Find(); err != nil && status == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

// TestScripts runs testdata/*.txt against the command. Beside what testscript has
// itself, a script may say
//
//	exits STATUS COMMAND…    run a command to its end; an error is one line
//	start COMMAND…           start the server and wait until it serves; sets
//	                         $URL, $LISTEN, $METRICS and, for --to, $METRICS_TCP
//	log REGEXP               wait until it has logged this; "! log": it has not
//	signal HUP|INT|TERM      send it a signal
//	ends STATUS              wait for its end
//	get [-tls 1.2|1.3] [-h2] [-cert NAME] URL
//	                         GET over a connection of its own; the same options
//	                         in one script share their sessions
//	presents NAME            its certificate is the one in NAME.pem
//	ca NAME                  make an authority, NAME.pem
//	cert CA NAME             have it sign a certificate, NAME.pem and NAME.key: a
//	                         client's if the name says so, else localhost's
//	session NAME             write a session as NAME.der and as NAME.record
//	hides FILE…              the last command has shown no secret of these files
//	selfsigned [-from DURATION] [-until DURATION] [-key NAME] [-client] [-nameless] NAME
//	                         make a certificate for localhost, NAME.pem and NAME.key,
//	                         valid from and until a time from now, of another's key,
//	                         for clients, without a name
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Values[scriptKey{}] = newScript()
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "ci": // where a missing peer is a failure, not a skip
				return os.Getenv("CI") == "true", nil
			case "root":
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"start":    start,
			"log":      logged,
			"signal":   signalServer,
			"ends":     ends,
			"get":      get,
			"presents": presents,
			"ca":       makeCA,
			"cert":     makeCert,

			"selfsigned": selfSigned,
			"session":    writeSession,
			"hides":      hides,
		},
	})
}
