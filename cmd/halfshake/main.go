// Command halfshake serves TLS with the session cache of package halfshake.
//
// "halfshake serve" needs no flag; "halfshake --help" says the rest.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kong"
)

// The exit statuses of a command that failed.
const (
	exitFailure = 1
	exitUsage   = 2
)

// commands are the verbs.
type commands struct {
	Serve  serveFlags  `cmd:"" help:"Terminate TLS with the session cache, in front of --to or of a page that shows how each connection was made."`
	Keygen keygenFlags `cmd:"" help:"Make a fleet key file, or add a key to one."`

	Version kong.VersionFlag `help:"Print the version and exit."`
}

func main() {
	var c commands
	parser := kong.Must(&c,
		kong.Name("halfshake"),
		kong.Description("A TLS session cache: connections that come back skip most of the handshake."),
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 100}),
		kong.ExplicitGroups(flagGroups),
		flagValues(),
	)
	command, err := parser.Parse(os.Args[1:])
	if err != nil {
		fail(fmt.Errorf("%w; %s", err, whereToLook(err)), exitUsage)
	}
	if err := command.Run(); err != nil {
		fail(err, exitFailure)
	}
}

// whereToLook is the help that has what the command line got wrong.
func whereToLook(err error) string {
	if parsing, ok := errors.AsType[*kong.ParseError](err); ok && parsing.Context.Selected() != nil {
		return fmt.Sprintf("\"halfshake %s --help\" lists the flags", parsing.Context.Selected().Name)
	}
	return "\"halfshake --help\" lists the verbs"
}

// fail prints err as one line and ends the process.
func fail(err error, status int) {
	line := strings.TrimPrefix(err.Error(), "halfshake: ")
	fmt.Fprintln(os.Stderr, "halfshake: "+strings.ReplaceAll(line, "\n", " "))
	os.Exit(status)
}
