package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/cmd/halfshake/internal/proxy"
)

// serveFlags are the command line of "halfshake serve".
type serveFlags struct {
	Listen   address      `group:"where" default:":8443" placeholder:"ADDR" help:"Address for TLS; port 0 picks a free one. Default: ${default}."`
	To       proxy.Target `group:"where" placeholder:"URL" help:"The backend: http://HOST:PORT for a reverse proxy, or tcp://HOST:PORT to pass on bytes. Default: a page about each connection."`
	ALPN     alpnList     `group:"where" name:"alpn" placeholder:"LIST" help:"The application protocols to offer in TLS, joined by commas, preferred first. Default: h2,http/1.1, and none with --to tcp://."`
	Metrics  address      `group:"where" placeholder:"ADDR" help:"Address for plain HTTP with /metrics, /stats.json, /healthz, /readyz and the live page. Off by default; keep it off public networks."`
	StateDir string       `group:"where" placeholder:"DIR" help:"Where sessions, their key and the self-made certificate are kept. Default: $$STATE_DIRECTORY, else $$XDG_STATE_HOME/halfshake, else ~/.local/state/halfshake."`
	Drain    duration     `group:"where" default:"5s" placeholder:"DURATION" help:"After a SIGTERM, how long open requests and connections may take to finish. Default: ${default}."`

	Cert string `group:"certificates" placeholder:"FILE" help:"The server's certificate and its chain, PEM. Default, without --to only: a self-signed one for localhost, 127.0.0.1 and ::1, made once in the state directory."`
	Key  string `group:"certificates" placeholder:"FILE" help:"Its private key, PEM."`

	ClientCA   string     `group:"clients" placeholder:"FILE" help:"Ask clients for a certificate that one of these authorities signed, PEM."`
	ClientAuth clientAuth `group:"clients" placeholder:"require|request" help:"With --client-ca: whether a client must have a certificate (require, the default) or may (request)."`
	Scope      string     `group:"clients" placeholder:"NAME" help:"What sessions may be resumed for; one made under another name is not. Default: a digest of --client-ca and of the server's public key, so that a new key pair ends the sessions of the old one."`

	Store         storeURL   `group:"sessions" default:"bolt:" placeholder:"URL" help:"Where sessions outlive this process: bolt:PATH, or bolt: for a file in the state directory; memory: keeps them only in this process. Default: ${default}"`
	FleetKey      string     `group:"sessions" placeholder:"FILE" help:"The keys that seal the sessions in the store, from halfshake keygen. Default: one made once in the state directory."`
	Timeout       duration   `group:"sessions" default:"${timeout}" placeholder:"DURATION" help:"How long a session may be resumed. Default: ${default}."`
	CacheSize     int        `group:"sessions" default:"${size}" placeholder:"N" help:"How many sessions are kept. Default: ${default}."`
	CacheMode     cacheMode  `group:"sessions" default:"server" placeholder:"LIST" help:"OpenSSL's cache modes, joined by commas: ${modes}. With off, no sessions are kept and no store is opened. Default: ${default}."`
	SessionIDs    sessionIDs `group:"sessions" name:"session-ids" default:"ticketless" placeholder:"off|ticketless|always" help:"For which TLS 1.2 clients to resume by session id: none, those that take no tickets, or all. Default: ${default}."`
	MaxLineageAge lineageAge `group:"sessions" placeholder:"DURATION" help:"How long after its first full handshake a client may go on resuming, with or without a certificate; off for no limit but each session's timeout. Default: 24h for clients with a certificate, off for others."`

	LogFormat string   `group:"log" default:"text" enum:"text,json" placeholder:"text|json" help:"Default: ${default}."`
	LogLevel  logLevel `group:"log" default:"info" placeholder:"LEVEL" help:"debug, info, warn or error. debug says for each connection why it was or was not resumed. Default: ${default}."`
}

var flagGroups = []kong.Group{
	{Key: "where", Title: "Where:"},
	{Key: "certificates", Title: "The server's certificate:", Description: "Read again on SIGHUP, like --client-ca and --fleet-key. If a file does not parse, the old ones stay in force."},
	{Key: "clients", Title: "Client certificates:"},
	{Key: "sessions", Title: "The session cache:"},
	{Key: "log", Title: "The log, on stderr:"},
}

// Help is the second paragraph of "halfshake serve --help".
func (*serveFlags) Help() string {
	return `Without flags it listens on port 8443 with a self-signed certificate, and keeps sessions encrypted in a file, so that clients can resume even after a restart. ` +
		`GET / is a page about the connection it came over, GET /connection.json the same for programs. ` +
		`To see a session resumed: curl -k --http1.1 -H 'Connection: close' URL URL, with https://localhost:8443/connection.json twice. ` +
		`SIGHUP reads certificates and keys again; SIGTERM lets open requests and connections finish, for at most --drain, and exits with 0.`
}

// flagValues are the values from the library that the help texts show.
func flagValues() kong.Vars {
	return kong.Vars{
		"timeout": halfshake.DefaultTimeout.String(),
		"size":    fmt.Sprint(halfshake.DefaultSize),
		"version": version(),
		"modes":   strings.Join(modeWords(), ", "),
	}
}

// Validate returns a usage error for values that are wrong by themselves or do not go
// together.
func (f *serveFlags) Validate() error {
	switch {
	case f.To.Given() && (f.Cert == "" || f.Key == ""):
		return errors.New("--to needs --cert FILE and --key FILE: the self-signed certificate is only for trying out the page")
	case f.Cert != "" && f.Key == "":
		return fmt.Errorf("--cert %s needs --key FILE, its private key", f.Cert)
	case f.Key != "" && f.Cert == "":
		return fmt.Errorf("--key %s needs --cert FILE, its certificate", f.Key)
	case f.Store == memoryStore && f.CacheMode.Mode&halfshake.ModeNoInternalLookup != 0:
		return errors.New("--cache-mode no-internal-lookup resumes nothing with --store memory:, which keeps sessions in the internal cache alone; leave it out, or name another store")
	case f.Store == memoryStore && f.FleetKey != "":
		return fmt.Errorf("--fleet-key %s has nothing to seal with --store memory:; leave out one of the two", f.FleetKey)
	case f.Drain.Duration < 0:
		return fmt.Errorf("--drain is %v; give 0 or more", f.Drain)
	case f.ClientAuth != "" && f.ClientCA == "":
		return errors.New("--client-auth needs --client-ca FILE, the authorities that sign the clients' certificates")
	case f.Timeout.Duration < time.Second || f.Timeout.Duration > halfshake.MaxTimeout || f.Timeout.Duration%time.Second != 0:
		return fmt.Errorf("--timeout is %v; give whole seconds, from 1s to %v", f.Timeout, halfshake.MaxTimeout)
	case f.CacheSize < 1:
		return fmt.Errorf("--cache-size is %d; give at least 1 (--cache-mode off keeps none)", f.CacheSize)
	}
	return nil
}

// logger returns the logger that the flags describe.
func (f *serveFlags) logger() *slog.Logger {
	options := &slog.HandlerOptions{Level: f.LogLevel.Level}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}

// An address is HOST:PORT. The host is optional.
type address string

// UnmarshalText refuses an address that no listener can bind to.
func (a *address) UnmarshalText(text []byte) error {
	_, port, err := net.SplitHostPort(string(text))
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT; for example :8443 or 127.0.0.1:8443", text)
	}
	if _, err := net.LookupPort("tcp", port); err != nil || port == "" {
		return fmt.Errorf("%q has no usable port; give 0 to 65535", text)
	}
	*a = address(text)
	return nil
}

// A clientAuth is "require", "request", or "" for the default.
type clientAuth string

// UnmarshalText accepts the two words.
func (a *clientAuth) UnmarshalText(text []byte) error {
	if s := string(text); s != "require" && s != "request" {
		return fmt.Errorf("%q is neither require nor request", s)
	}
	*a = clientAuth(text)
	return nil
}

// sessionIDs says for which TLS 1.2 clients to resume by session id.
type sessionIDs struct{ halfshake.SessionIDs }

// UnmarshalText accepts the three words.
func (s *sessionIDs) UnmarshalText(text []byte) error {
	words := map[string]halfshake.SessionIDs{"off": halfshake.SessionIDsOff, "ticketless": halfshake.SessionIDsTicketless, "always": halfshake.SessionIDsAlways}
	mode, ok := words[string(text)]
	if !ok {
		return fmt.Errorf("%q is not off, ticketless or always", text)
	}
	s.SessionIDs = mode
	return nil
}

// A logLevel is the lowest level that is logged.
type logLevel struct{ slog.Level }

// UnmarshalText accepts the four words of slog.
func (l *logLevel) UnmarshalText(text []byte) error {
	if err := l.Level.UnmarshalText(text); err != nil {
		return fmt.Errorf("%q is not a level; choose from debug, info, warn and error", text)
	}
	return nil
}
