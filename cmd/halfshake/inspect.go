package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/halfshake/halfshake/cmd/halfshake/internal/inspect"
	"github.com/halfshake/halfshake/external"
	"github.com/halfshake/halfshake/stores/boltstore"
)

// inspectFlags are the command line of "halfshake inspect".
type inspectFlags struct {
	Files    []string `arg:"" name:"file" help:"Files of sessions; - is standard input."`
	JSON     bool     `name:"json" help:"Print one JSON object for each session, each on its own line."`
	FleetKey string   `placeholder:"FILE" help:"The keys that a store's sessions are sealed under, to print the sessions in its file. Stop the server that has it open first."`
	Secrets  bool     `help:"Print session ids, master keys and tickets too. They are live keys: whoever sees them can resume the sessions, as their client."`
}

// Help is the second paragraph of "halfshake inspect --help".
func (*inspectFlags) Help() string {
	return `It finds out by itself what a file contains: a record of Session.MarshalBinary; OpenSSL's DER or PEM, as from ` +
		`openssl s_client -sess_out, with any number of sessions in PEM; or, with --fleet-key, a store's file. ` +
		`It changes no file. Files are read whole first: if there is an error in one of them, nothing is printed.`
}

// Validate refuses standard input twice, because the second time it is at its end.
func (f *inspectFlags) Validate() error {
	seen := 0
	for _, path := range f.Files {
		if path == standardInput {
			seen++
		}
	}
	if seen > 1 {
		return errors.New("- is given more than once; standard input can be read once")
	}
	return nil
}

const standardInput = "-"

// A sessionFile is the content of one file.
type sessionFile struct {
	name     string
	sessions []*inspect.Session
	foreign  int // sealed under other keys
}

// Run is the verb.
func (f *inspectFlags) Run() error {
	keys, err := f.keys()
	if err != nil {
		return err
	}
	var files []sessionFile
	for _, path := range f.Files {
		file, err := readSessionFile(path, keys)
		if err != nil {
			return fmt.Errorf("%s: %w", file.name, err)
		}
		files = append(files, file)
	}
	w := bufio.NewWriter(os.Stdout)
	for _, file := range files {
		if err := f.print(w, file); err != nil {
			return err
		}
	}
	return w.Flush()
}

// keys returns nil without --fleet-key.
func (f *inspectFlags) keys() (*external.KeyRing, error) {
	if f.FleetKey == "" {
		return nil, nil
	}
	keys, _, err := readKeys("--fleet-key", f.FleetKey)
	return keys, err
}

func (f *inspectFlags) print(w io.Writer, file sessionFile) error {
	if file.foreign > 0 {
		fmt.Fprintf(os.Stderr, "halfshake: %s: %d more sessions are sealed under other keys than those of --fleet-key\n", file.name, file.foreign)
	}
	if f.JSON {
		return inspect.JSON(w, file.sessions, f.Secrets)
	}
	return inspect.Text(w, file.name, file.sessions, f.Secrets, time.Now())
}

// readSessionFile returns the file's name in any case.
func readSessionFile(path string, keys *external.KeyRing) (file sessionFile, err error) {
	file.name = path
	switch {
	case path == standardInput:
		file.name = "standard input"
		file.sessions, err = readSessions(os.Stdin)
	case isStoreFile(path):
		file.sessions, file.foreign, err = readStoreFile(path, keys)
	default:
		file.sessions, err = openSessions(path)
	}
	return file, err
}

// isStoreFile reports whether a file is a boltstore's. It reads from nothing but a regular
// file, because what is read from a pipe is gone.
func isStoreFile(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return false
	}
	ours, err := boltstore.Recognizes(path)
	return err == nil && ours
}

func readStoreFile(path string, keys *external.KeyRing) ([]*inspect.Session, int, error) {
	if keys == nil {
		return nil, 0, errors.New("it is a store's file, whose sessions are sealed; give their keys with --fleet-key FILE")
	}
	sessions, foreign, err := inspect.ReadStore(path, keys)
	if err != nil {
		return nil, 0, errors.New(strings.TrimPrefix(err.Error(), "boltstore: read "+path+": "))
	}
	if len(sessions) == 0 && foreign > 0 {
		return nil, 0, fmt.Errorf("its sessions (%d) are sealed under other keys than those of --fleet-key", foreign)
	}
	return sessions, foreign, nil
}

func openSessions(path string) ([]*inspect.Session, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, readError(err)
	}
	defer file.Close()
	return readSessions(file)
}

// maxSessionFile is the size of a file of ten thousand sessions in PEM.
const maxSessionFile = 32 << 20

func readSessions(r io.Reader) ([]*inspect.Session, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSessionFile+1))
	switch {
	case err != nil:
		return nil, readError(err)
	case len(data) > maxSessionFile:
		return nil, fmt.Errorf("larger than %d MiB; split it", maxSessionFile>>20)
	}
	return inspect.Read(data)
}
