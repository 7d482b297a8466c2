package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/halfshake/halfshake/external"
)

// keygenFlags are the command line of "halfshake keygen".
type keygenFlags struct {
	Out      string        `placeholder:"FILE" help:"Make a key file with one new key, active at once. Never overwrites an existing file."`
	Rotate   string        `placeholder:"FILE" help:"Add a new key to this file, and drop keys that no session needs any more."`
	ActiveIn time.Duration `default:"1h" placeholder:"DURATION" help:"With --rotate: when the new key is first used; until then, copy the file to every machine and send each server a SIGHUP. Default: ${default}."`
}

// maxActiveIn keeps a mistyped duration from blocking the next rotations.
const maxActiveIn = 30 * 24 * time.Hour

// Help is the second paragraph of "halfshake keygen --help".
func (*keygenFlags) Help() string {
	return `The key seals the sessions in a store. Every server that shares the store needs the same file; ` +
		`anyone who has the key and the store has the sessions. The file is text, of mode 0600.`
}

// Validate requires exactly one of --out and --rotate.
func (f *keygenFlags) Validate() error {
	switch {
	case (f.Out == "") == (f.Rotate == ""):
		return errors.New("give --out FILE to make a key file, or --rotate FILE to add a key to one")
	case f.ActiveIn < 0 || f.ActiveIn > maxActiveIn:
		return fmt.Errorf("--active-in is %v; give 0s to %v", f.ActiveIn, maxActiveIn)
	}
	return nil
}

// Run is the verb.
func (f *keygenFlags) Run() error {
	now := time.Now()
	if f.Out != "" {
		return f.make(now)
	}
	return f.rotate(now)
}

func (f *keygenFlags) make(now time.Time) error {
	ring := external.GenerateKeys(now)
	text, err := ring.MarshalText()
	if err != nil {
		return err
	}
	if err := createFile(f.Out, text); err != nil {
		return fmt.Errorf("--out %s: %w", f.Out, err)
	}
	fmt.Printf("made %s; give it to every server that shares the store: halfshake serve --fleet-key %s\n", f.Out, f.Out)
	return nil
}

// createFile writes a new file of mode 0600.
func createFile(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return errors.New("the file exists; choose another name, or add a key to it with --rotate")
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; make its directory first", bare(err))
	case err != nil:
		return bare(err)
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		_ = os.Remove(path)
	}
	return bare(err)
}

func (f *keygenFlags) rotate(now time.Time) error {
	if _, _, err := readKeys("--rotate", f.Rotate); err != nil {
		return err
	}
	unlock, err := lockedfile.MutexAt(f.Rotate + ".lock").Lock() // two rotations at once would lose a key
	if err != nil {
		return fmt.Errorf("--rotate %s: %w", f.Rotate, bare(err))
	}
	defer unlock()
	ring, _, err := readKeys("--rotate", f.Rotate)
	if err != nil {
		return err
	}
	active := now.Add(f.ActiveIn)
	next, err := ring.Rotate(now, active)
	if err != nil {
		return fmt.Errorf("--rotate %s: %w", f.Rotate, own(err))
	}
	text, err := next.MarshalText()
	if err != nil {
		return err
	}
	if err := replaceFile(f.Rotate, text); err != nil {
		return fmt.Errorf("--rotate %s: %w", f.Rotate, bare(err))
	}
	fmt.Printf("added a key to %s, active from %s; before then, copy the file to every machine and send each server a SIGHUP\n",
		f.Rotate, active.UTC().Truncate(time.Second).Format(time.RFC3339))
	return nil
}
