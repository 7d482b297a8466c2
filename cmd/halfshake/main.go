// Command halfshake serves TLS with the session cache of package halfshake.
//
// "halfshake serve" needs no flags; "halfshake --help" lists the commands.
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

func main() {
	var c commands
	parser := kong.Must(&c,
		kong.Name("halfshake"),
		kong.Description("A TLS session cache: clients that come back skip most of the handshake."),
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

// whereToLook names the help for the part of the command line that is wrong.
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
