package client

import (
	"bytes"
	"io"
	"os/exec"
)

// pauseLine is what a program of this package prints and flushes after its first connection. The program then waits for a
// line on stdin.
const pauseLine = "*** the first connection is over\n"

// outputAround is output for a program of this package. It has the program make its second connection after target.Between
// returns.
func outputAround(cmd *exec.Cmd, target Target) ([]byte, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	out := &pause{in: in, between: target.between}
	cmd.Stdout, cmd.Stderr = out, &stderr
	if err := cmd.Run(); err != nil {
		return nil, failure(err, out.seen, stderr.Bytes())
	}
	return out.seen, nil
}

// pause is the stdout of such a program.
type pause struct {
	seen    []byte
	in      io.Writer
	between func() // nil once it has been called
}

func (p *pause) Write(text []byte) (int, error) {
	p.seen = append(p.seen, text...)
	if p.between != nil && bytes.Contains(p.seen, []byte(pauseLine)) {
		p.between()
		p.between = nil
		_, _ = io.WriteString(p.in, "\n") // if the program has exited, its own error says why
	}
	return len(text), nil
}
