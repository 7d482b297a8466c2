package main

import (
	"fmt"

	"github.com/alecthomas/kong"
)

// commands are the verbs.
type commands struct {
	Serve  serveFlags  `cmd:"" help:"Terminate TLS with the session cache, in front of --to or of a page that shows how each connection was made."`
	Keygen keygenFlags `cmd:"" help:"Make a fleet key file, or add a key to one."`

	Version kong.VersionFlag `help:"Print the version and exit."`
}

// BeforeApply refuses a flag that is given twice. Otherwise the last value would silently
// win.
func (*commands) BeforeApply(ctx *kong.Context) error {
	given := map[*kong.Flag]bool{}
	for _, p := range ctx.Path {
		switch {
		case p.Flag == nil || p.Resolved || p.Flag.IsCumulative():
		case given[p.Flag]:
			return fmt.Errorf("--%s is given more than once; give it once", p.Flag.Name)
		default:
			given[p.Flag] = true
		}
	}
	return nil
}
