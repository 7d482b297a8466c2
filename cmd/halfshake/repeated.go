package main

import (
	"fmt"

	"github.com/alecthomas/kong"
)

// BeforeApply refuses a flag that is given twice: the last value would silently win.
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
