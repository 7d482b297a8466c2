package main

import "github.com/alecthomas/kong"

// commands are the verbs.
type commands struct {
	Serve   serveFlags   `cmd:"" help:"Terminate TLS with the session cache, in front of --to or of a page that shows how each connection was made."`
	Keygen  keygenFlags  `cmd:"" help:"Make a fleet key file, or add a key to one."`
	Inspect inspectFlags `cmd:"" help:"Print the sessions in files: Halfshake's, OpenSSL's, or a store's."`

	Version kong.VersionFlag `help:"Print the version and exit."`
}
