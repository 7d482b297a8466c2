package client

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
)

// Node is Node's tls module, running a script of ours.
var Node = Driver{Name: "node", Binary: "node", Package: "nodejs", visit: visitNode}

//go:embed testdata/client.js
var nodeScript string

func visitNode(ctx context.Context, target Target) ([]Visit, error) {
	cmd := command(ctx, target, "node", "-", target.Host, target.Port, target.ServerName, "TLSv"+target.Version,
		request(target, "close"), target.Roots, target.Chain, target.Key)
	cmd.Stdin = strings.NewReader(nodeScript)
	out, err := output(cmd)
	if err != nil {
		return nil, err
	}
	var visits []Visit
	for line := range bytes.Lines(out) {
		visit, err := visitOfNode(line)
		if err != nil {
			return nil, err
		}
		visits = append(visits, visit)
	}
	return visits, nil
}

// visitOfNode decodes a line that the script prints for a connection.
func visitOfNode(line []byte) (Visit, error) {
	var said struct {
		Reused   bool
		Response string
		Session  []byte
	}
	if err := json.Unmarshal(line, &said); err != nil {
		return Visit{}, fmt.Errorf("%w in a line of %d bytes", err, len(line))
	}
	view := Full
	if said.Reused {
		view = Resumed
	}
	answer, err := only([]byte(said.Response))
	if err != nil {
		return Visit{}, err
	}
	secrets, err := secretsOf(said.Session)
	return Visit{answer, view, secrets}, err
}
