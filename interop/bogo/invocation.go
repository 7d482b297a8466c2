package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// An invocation is what the runner asks of one run of the shim: a connection, and perhaps
// more connections that resume.
type invocation struct {
	initial, resume options
	declined        *declined // why the test does not apply to the engine; nil if it does
	err             error     // an error in the flags
}

// declined says why a test is skipped.
type declined struct {
	Test     string `json:"test"`
	Class    class  `json:"class"`
	Sentence string `json:"sentence"`
	By       string `json:"by"` // the flag, or the pattern of the configuration
	Pattern  bool   `json:"pattern"`
}

// newInvocation parses the arguments. A flag may apply only to the first connection, or only
// to those after it.
func newInvocation(args []string) *invocation {
	inv := new(invocation)
	for inv.err == nil && len(args) > 0 {
		name := args[0]
		args = args[1:]
		on := []*options{&inv.initial, &inv.resume}
		if rest, ok := strings.CutPrefix(name, "-on-initial-"); ok {
			name, on = "-"+rest, on[:1]
		} else if rest, ok := strings.CutPrefix(name, "-on-resume-"); ok {
			name, on = "-"+rest, on[1:]
		}
		args = inv.flag(name, args, on)
	}
	if inv.err == nil {
		inv.declineValues()
	}
	return inv
}

// flag applies one flag and returns the arguments after it.
func (inv *invocation) flag(name string, args []string, on []*options) []string {
	if d, ok := declinedFlag(name); ok {
		inv.decline(d)
		for len(args) > 0 && !isFlag(args[0]) {
			args = args[1:] // skip its value
		}
		return args
	}
	kind, ok := flagKinds[name]
	switch {
	case !ok:
		inv.err = fmt.Errorf("the flag %s is neither implemented (options.go) nor declined (declined.go)", name)
		return nil
	case kind.value && len(args) == 0:
		inv.err = fmt.Errorf("the flag %s needs a value", name)
		return nil
	}
	value := ""
	if kind.value {
		value, args = args[0], args[1:]
	}
	for _, o := range on {
		if err := o.set(name, kind, value); err != nil {
			inv.err = err
		}
	}
	return args
}

// isFlag reports whether an argument is a flag rather than a value such as -60.
func isFlag(arg string) bool {
	return len(arg) > 1 && arg[0] == '-' && (arg[1] < '0' || arg[1] > '9')
}

// decline keeps the reason with the earliest class.
func (inv *invocation) decline(d declined) {
	if inv.declined == nil || d.Class.rank() < inv.declined.Class.rank() {
		inv.declined = &d
	}
}

// test returns the name of the test, which the runner passes in -write-settings.
func (inv *invocation) test() string {
	return strings.TrimSuffix(filepath.Base(inv.initial.settings), "-")
}

func (inv *invocation) run(stderr io.Writer) (status int) {
	if inv.err != nil {
		fmt.Fprintln(stderr, "bogo:", inv.err)
		return exitBroken
	}
	if err := inv.declineByName(); err != nil {
		fmt.Fprintln(stderr, "bogo:", err)
		return exitBroken
	}
	if inv.declined != nil {
		if err := inv.record(); err != nil {
			fmt.Fprintln(stderr, "bogo: recording a skip:", err)
			return exitBroken
		}
		return exitUnimplemented
	}
	err := inv.connections()
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(stderr, describe(err))
	if errors.As(err, new(fault)) {
		return exitBroken
	}
	return exitFailed
}

// A fault is an error that no test wants: the handshake is not what the test expects, or
// the shim cannot do its part.
type fault struct{ error }

func (f fault) Unwrap() error { return f.error }

// declineByName declines tests that the configuration disables.
func (inv *invocation) declineByName() error {
	o := &inv.initial
	if o.config == "" || o.runDisabled {
		return nil
	}
	c, err := readConfig(o.config)
	if err != nil {
		return err
	}
	if d := c.disabled(inv.test()); d != nil {
		inv.decline(*d)
	}
	return nil
}

// record appends a line in one write, because several shims run at once.
func (inv *invocation) record() error {
	if inv.initial.skips == "" {
		return nil
	}
	inv.declined.Test = inv.test()
	line, err := json.Marshal(inv.declined)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(inv.initial.skips, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(append(line, '\n'))
	return err
}
